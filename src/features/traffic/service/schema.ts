export { clustersOfHost } from './clusters-of-host.ts';
