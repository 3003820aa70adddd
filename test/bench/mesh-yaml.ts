/** A Service of the meshes that benchmarks read from YAML, its workload aside. Its port is 9080. */
export function serviceYaml(name: string): string {
  return `apiVersion: v1\nkind: Service\nmetadata: {name: ${name}}\nspec: {selector: {app: ${name}}, ports: [{name: http, port: 9080}]}\n`;
}

/** What people write for a service: routes by path and weight, a subset, and a policy. `other` gets a tenth of the requests. */
export function networkingYaml(name: string, other: string): string[] {
  return [
    `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: ${name}}
spec:
  hosts: [${name}]
  http:
  - match: [{uri: {prefix: /a}}]
    route: [{destination: {host: ${name}, subset: v1}}]
  - route: [{destination: {host: ${name}, subset: v1}, weight: 90}, {destination: {host: ${other}}, weight: 10}]
`,
    `apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: ${name}}\nspec: {host: ${name}, subsets: [{name: v1, labels: {version: v1}}]}\n`,
    `apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: ${name}}\nspec: {selector: {matchLabels: {app: ${name}}}, rules: [{to: [{operation: {methods: [GET]}}]}]}\n`,
  ];
}
