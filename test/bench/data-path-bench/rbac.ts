import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import {
  type Permission,
  PermissionSchema,
  type Policy,
  PolicySchema,
  type Principal,
  PrincipalSchema,
} from '../../../gen/proto/envoy/config/rbac/v3/rbac_pb.js';
import { RBACSchema } from '../../../gen/proto/envoy/extensions/filters/http/rbac/v3/rbac_pb.js';
import {
  type HttpFilter,
  HttpFilterSchema,
} from '../../../gen/proto/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js';

const any = <T>(rules: T[]): { rules: T[] } => ({ rules });

function method(name: string): Permission {
  return create(PermissionSchema, {
    rule: {
      case: 'header',
      value: {
        name: ':method',
        headerMatchSpecifier: {
          case: 'stringMatch',
          value: { matchPattern: { case: 'exact', value: name } },
        },
      },
    },
  });
}

function path(prefix: string): Permission {
  return create(PermissionSchema, {
    rule: {
      case: 'urlPath',
      value: {
        rule: { case: 'path', value: { matchPattern: { case: 'prefix', value: prefix } } },
      },
    },
  });
}

function caller(account: string): Principal {
  return create(PrincipalSchema, {
    identifier: {
      case: 'authenticated',
      value: {
        principalName: {
          matchPattern: { case: 'exact', value: `spiffe://cluster.local/ns/default/sa/${account}` },
        },
      },
    },
  });
}

/** What an AuthorizationPolicy with two principals, two methods and two paths becomes. */
function policy(accounts: readonly string[], paths: readonly string[]): Policy {
  const or = (rules: Permission[]): Permission =>
    create(PermissionSchema, { rule: { case: 'orRules', value: any(rules) } });
  return create(PolicySchema, {
    permissions: [
      create(PermissionSchema, {
        rule: { case: 'andRules', value: any([or([method('GET'), method('HEAD')]), or(paths.map(path))]) },
      }),
    ],
    principals: [
      create(PrincipalSchema, {
        identifier: {
          case: 'andIds',
          value: {
            ids: [
              create(PrincipalSchema, {
                identifier: { case: 'orIds', value: { ids: accounts.map(caller) } },
              }),
            ],
          },
        },
      }),
    ],
  });
}

/** Ten ALLOW policies. Envoy tries them by name: the one that lets the benchmark's client in comes last. */
export function tenPolicies(): HttpFilter {
  const policies: Record<string, Policy> = {};
  for (let i = 0; i < 9; i++)
    policies[`ns[default]-policy[allow-${i}]-rule[0]`] = policy(
      [`caller-${i}`, `other-${i}`],
      [`/area-${i}/`, `/other-${i}/`],
    );
  policies['ns[default]-policy[allow-9]-rule[0]'] = policy(['other-9', 'default'], ['/area-9/', '/']);
  return create(HttpFilterSchema, {
    name: 'envoy.filters.http.rbac',
    configType: {
      case: 'typedConfig',
      value: anyPack(RBACSchema, create(RBACSchema, { rules: { policies } })),
    },
  });
}
