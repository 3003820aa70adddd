import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('VirtualService', [
  [
    /^spec\.http\[(\d+)\]\.match\[(\d+)\]$/,
    'condition $2 of HTTP route $1 took the request: the first that holds, in order, decides',
  ],
  [/^spec\.http\[(\d+)\]\.route\[(\d+)\]/, 'destination $2 of HTTP route $1, chosen by weight'],
  [/^spec\.http\[(\d+)\]$/, 'HTTP route $1 takes everything that comes to it: it has no condition'],
  [/^spec\.(tcp|tls)\[(\d+)\]/, '$1 route $2 decides for connections to this port'],
  [/^spec\.hosts$/, 'the host is known by this object alone'],
]);
