import { create } from '@bufbuild/protobuf';
import type { Any } from '@bufbuild/protobuf/wkt';
import {
  type Cluster,
  LoadBalancingPolicySchema,
} from '../../../../gen/proto/envoy/config/cluster/v3/cluster_pb.js';
import type { Route } from '../../../../gen/proto/envoy/config/route/v3/route_components_pb.js';
import {
  ExternalProcessorSchema,
  ExtProcPerRouteSchema,
} from '../../../../gen/proto/envoy/extensions/filters/http/ext_proc/v3/ext_proc_pb.js';
import {
  ProcessingMode_BodySendMode as Body,
  ProcessingMode_HeaderSendMode as Header,
} from '../../../../gen/proto/envoy/extensions/filters/http/ext_proc/v3/processing_mode_pb.js';
import { LeastRequestSchema } from '../../../../gen/proto/envoy/extensions/load_balancing_policies/least_request/v3/least_request_pb.js';
import { OverrideHostSchema } from '../../../../gen/proto/envoy/extensions/load_balancing_policies/override_host/v3/override_host_pb.js';
import { duration, pack } from '../../../envoy/pack.ts';
import type { ClusterPlan } from '../../../plan/cluster-plan.ts';
import type { HttpFilterFragment } from '../../../plan/feature.ts';
import type { FilterChainPlan } from '../../../plan/listener-plan.ts';
import type { RoutePlan } from '../../../plan/route-plan.ts';
import { read } from '../../../plan/slot.ts';
import { hasPickersSlot, type PickerPlan, pickedSlot, pickersSlot } from './schema.ts';

const name = 'envoy.filters.http.ext_proc';
/** Header and metadata key of the inference extension's protocol: the endpoint, `address:port`. */
const endpointKey = 'x-gateway-destination-endpoint';
const metadataNamespace = 'envoy.lb';
/** A picker looks at the request's body and may wait for a model server's state. */
const answerMs = 10_000;

/** Never asked itself, for it is off but on routes that name a picker: every proxy has this cluster. */
const idle: HttpFilterFragment = {
  name,
  config: pack(ExternalProcessorSchema, {
    grpcService: { targetSpecifier: { case: 'envoyGrpc', value: { clusterName: 'sds-grpc' } } },
    messageTimeout: duration(answerMs),
  }),
  disabled: true,
};

export function httpFilters(chain: FilterChainPlan): readonly HttpFilterFragment[] {
  return read(chain, hasPickersSlot) ? [idle] : [];
}

/** With several backends the pool is drawn first, and its picker asked then. */
export function emitRoute(plan: RoutePlan, message: Route): void {
  const pickers = read(plan, pickersSlot);
  if (!pickers || message.action.case !== 'route') return;
  const { clusterSpecifier } = message.action.value;
  if (clusterSpecifier.case === 'cluster') {
    const picker = pickers[clusterSpecifier.value];
    if (picker) message.typedPerFilterConfig[name] = ask(picker);
  } else if (clusterSpecifier.case === 'weightedClusters')
    for (const cluster of clusterSpecifier.value.clusters) {
      const picker = pickers[cluster.name];
      if (picker) cluster.typedPerFilterConfig[name] = ask(picker);
    }
}

function ask({ cluster, host, failOpen }: PickerPlan): Any {
  return pack(ExtProcPerRouteSchema, {
    override: {
      case: 'overrides',
      value: {
        grpcService: {
          // By default the cluster's name is the authority, and servers refuse one with a `|`.
          targetSpecifier: { case: 'envoyGrpc', value: { clusterName: cluster, authority: host } },
          timeout: duration(answerMs),
        },
        processingMode: {
          requestHeaderMode: Header.SEND,
          requestBodyMode: Body.FULL_DUPLEX_STREAMED,
          requestTrailerMode: Header.SEND,
          responseHeaderMode: Header.SEND,
          responseBodyMode: Body.FULL_DUPLEX_STREAMED,
          responseTrailerMode: Header.SEND,
        },
        metadataOptions: { receivingNamespaces: { untyped: [metadataNamespace] } },
        failureModeAllow: failOpen,
      },
    },
  });
}

export function emitCluster(plan: ClusterPlan, message: Cluster): void {
  if (!read(plan, pickedSlot)) return;
  const leastRequests = create(LoadBalancingPolicySchema, {
    policies: [
      {
        typedExtensionConfig: {
          name: 'envoy.load_balancing_policies.least_request',
          typedConfig: pack(LeastRequestSchema, {}),
        },
      },
    ],
  });
  message.loadBalancingPolicy = create(LoadBalancingPolicySchema, {
    policies: [
      {
        typedExtensionConfig: {
          name: 'envoy.load_balancing_policies.override_host',
          typedConfig: pack(OverrideHostSchema, {
            overrideHostSources: [
              { header: endpointKey },
              {
                metadata: {
                  key: metadataNamespace,
                  path: [{ segment: { case: 'key', value: endpointKey } }],
                },
              },
            ],
            fallbackPolicy: leastRequests,
          }),
        },
      },
    ],
  });
}
