import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import { localClusterEndpoints } from './local-cluster.ts';
import { outboundClusters, outboundEndpoints } from './plan.ts';
import { serviceProblems } from './problems.ts';

export const service: Feature = {
  name: 'traffic/service',
  kinds: ['Service', 'EndpointSlice', 'ServiceEntry', 'WorkloadEntry'],
  explain,
  problems: serviceProblems,
  clusters: [outboundClusters],
  endpoints: [outboundEndpoints, localClusterEndpoints],
};
