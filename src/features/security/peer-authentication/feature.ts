import type { Feature } from '../../../plan/feature.ts';
import { explain } from './explain.ts';
import { peerAuthenticationProblems } from './problems.ts';

/** Its decisions are read where chains and clusters are made: schema.ts. */
export const peerAuthentication: Feature = {
  name: 'security/peer-authentication',
  kinds: ['PeerAuthentication'],
  explain,
  problems: peerAuthenticationProblems,
};
