import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('Ingress', [
  [/^spec\.rules\[(\d+)\]\.http\.paths\[(\d+)\]/, 'path $2 of rule $1 takes the request'],
  [/^spec\.defaultBackend$/, 'no rule takes the request: it goes to the default backend'],
  [/^spec\.tls\[(\d+)\]$/, 'certificate $1 of the ingress serves the host'],
  [/^spec$/, 'the ingress is served on the gateway'],
]);
