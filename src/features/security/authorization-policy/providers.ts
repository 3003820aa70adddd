import { rootPath } from '../../../config/field-path.ts';
import { checkExtensionProviders } from '../../../config/kinds/istio/extension-providers.ts';
import { createReport } from '../../../config/report.ts';
import type { Authorizer } from '../../../plan/authorizer.ts';
import { parseDuration } from '../../../plan/duration.ts';
import { outboundCluster } from '../../../plan/names.ts';
import type { ExtensionProvider } from '../../../registry/mesh-config.ts';
import { servicesByHost } from '../../../snapshot/kinds.ts';
import { defineQuery, type Key } from '../../../snapshot/query.ts';
import type { View } from '../../../snapshot/view.ts';
import { notGrpc } from '../external-authorization/schema.ts';

export type ProviderLookup =
  /** `doubt`: why asking it will fail. What becomes of the request then is the provider's own choice (`failOpen`, `statusOnError`). */
  | { readonly ok: true; readonly authorizer: Authorizer; readonly doubt?: string }
  | { readonly ok: false; readonly problem: string };

type Json = Readonly<Record<string, unknown>>;

const defaultTimeoutMs = 600_000;

function lookup(view: View, name: Key): ProviderLookup {
  const provider = view.mesh('extensionProviders').find((one) => one.name === name);
  if (!provider) return { ok: false, problem: `meshConfig.extensionProviders has no provider ${name}` };
  const problem = configurationProblem(provider);
  if (problem !== undefined) return { ok: false, problem };
  const { envoyExtAuthzHttp: http, envoyExtAuthzGrpc: grpc } = provider as Record<string, Json | undefined>;
  const settings = http ?? grpc;
  if (!settings)
    return {
      ok: false,
      problem: `provider ${name} is no authorizer (envoyExtAuthzHttp or envoyExtAuthzGrpc)`,
    };
  const authorizer = authorizerOf(settings, http ? 'http' : 'grpc');
  const [service] = view.list(servicesByHost, authorizer.host);
  if (service === undefined)
    return { ok: false, problem: `the service ${authorizer.host} of provider ${name} does not exist` };
  const doubt = grpc ? notGrpc(view, service, Number(grpc.port ?? 0)) : undefined;
  return { ok: true, authorizer, ...(doubt === undefined ? {} : { doubt }) };
}

/** The provider of a name, if it can be asked. */
export const providerQuery = defineQuery('authorization.provider', lookup);

export function providerOf(view: View, name: string): ProviderLookup {
  return view.call(providerQuery, name);
}

function configurationProblem(provider: ExtensionProvider): string | undefined {
  const report = createReport();
  checkExtensionProviders(report, rootPath.field('extensionProviders'), [{ ...provider }]);
  const issue = report.issues.find(({ severity }) => severity === 'error');
  return issue && `${issue.path.replace('[0]', `[${provider.name}]`)}: ${issue.message}`;
}

/** From settings that were checked. */
export function authorizerOf(settings: Json, protocol: Authorizer['protocol']): Authorizer {
  const text = (name: string): string => (typeof settings[name] === 'string' ? settings[name] : '');
  const texts = (name: string): readonly string[] =>
    Array.isArray(settings[name]) ? settings[name].map(String) : [];
  const host = text('service').split('/').at(-1) ?? '';
  const body = settings.includeRequestBodyInCheck as
    | { maxRequestBytes?: number; allowPartialMessage?: boolean; packAsBytes?: boolean }
    | undefined;
  const requestHeaders = texts('includeRequestHeadersInCheck');
  return {
    protocol,
    host,
    cluster: outboundCluster(Number(settings.port ?? 0), '', host),
    timeoutMs: parseDuration(text('timeout')) ?? defaultTimeoutMs,
    failOpen: settings.failOpen === true,
    statusOnError: Number(text('statusOnError')),
    clearRouteCache: settings.clearRouteCache === true,
    ...(body
      ? {
          body: {
            maxBytes: body.maxRequestBytes ?? 0,
            partial: body.allowPartialMessage ?? false,
            asBytes: body.packAsBytes ?? false,
          },
        }
      : {}),
    pathPrefix: text('pathPrefix'),
    requestHeaders: requestHeaders.length > 0 ? requestHeaders : texts('includeHeadersInCheck'),
    addedHeaders: Object.entries((settings.includeAdditionalHeadersInCheck ?? {}) as Record<string, string>),
    toUpstreamOnAllow: texts('headersToUpstreamOnAllow'),
    toClientOnAllow: texts('headersToDownstreamOnAllow'),
    toClientOnDeny: texts('headersToDownstreamOnDeny'),
  };
}
