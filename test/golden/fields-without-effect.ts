const notBuilt = 'not built: its status says so';

/** `group/Kind` → why its fields are not judged by `every-field.test.ts`. */
export const kindsElsewhere: Readonly<Record<string, string>> = {
  'networking.istio.io/ProxyConfig':
    'how agents are started: src/control-plane/proxy-settings/proxy-settings.test.ts',
  'networking.istio.io/WorkloadGroup':
    'a template for entries, and a probe of the agent: src/control-plane/auto-registration.test.ts',
  'telemetry.istio.io/Telemetry': notBuilt,
  'extensions.istio.io/WasmPlugin': notBuilt,
  'extensions.istio.io/TrafficExtension': notBuilt,
  'gateway.networking.x-k8s.io/XBackend': notBuilt,
  'gateway.networking.x-k8s.io/XMesh': notBuilt,
};

const refused = 'any value is refused';
const forPeople = 'a name for people';

/** `group/Kind` → path → why a field may change nothing. */
export const fieldsWithoutEffect: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'security.istio.io/AuthorizationPolicy': {
    'spec.targetRef.namespace': refused,
    'spec.targetRefs[].namespace': refused,
  },
  'security.istio.io/RequestAuthentication': {
    'spec.targetRef.namespace': refused,
    'spec.targetRefs[].namespace': refused,
  },
  'networking.istio.io/EnvoyFilter': {
    'spec.targetRefs[].namespace': refused,
  },
  'networking.istio.io/Gateway': { 'spec.servers[].name': forPeople },
  'networking.istio.io/Sidecar': {
    'spec.egress[].port.name': forPeople,
    'spec.ingress[].port.name': forPeople,
    'spec.ingress[].tls.credentialName': refused,
    'spec.ingress[].tls.credentialNames[]': refused,
    'spec.ingress[].tls.httpsRedirect': refused,
    'spec.ingress[].tls.subjectAltNames[]': refused,
    'spec.ingress[].tls.tlsCertificates[].caCertificates': refused,
    'spec.ingress[].tls.tlsCertificates[].privateKey': refused,
    'spec.ingress[].tls.tlsCertificates[].serverCertificate': refused,
  },
  'networking.istio.io/VirtualService': {
    'spec.http[].fault.abort.http2Error': refused,
    'spec.http[].fault.delay.exponentialDelay': refused,
  },
  'gateway.networking.k8s.io/BackendTLSPolicy': {
    'spec.validation.subjectAltNames[].type': 'which of hostname and uri is there says it',
  },
  'gateway.networking.k8s.io/Gateway': {
    'spec.infrastructure.labels{}':
      'of the proxy that is started for it: src/cli/supervisor/started-gateways.test.ts',
  },
  'gateway.networking.k8s.io/GatewayClass': { 'spec.description': 'for people' },
  'gateway.networking.k8s.io/TCPRoute': { 'spec.rules[].name': forPeople },
  'gateway.networking.k8s.io/TLSRoute': { 'spec.rules[].name': forPeople },
  'gateway.networking.k8s.io/UDPRoute': { 'spec.rules[].name': forPeople },
};
