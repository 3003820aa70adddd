import type { DownstreamTls } from '../../../plan/listener-plan.ts';
import { type Listener, tlsModeOption } from './listeners.ts';

/** Names under which proxies ask for what the Gateway API refers to; the namespace is part of them, as references may cross it. */
export function certificateName(secret: string): string {
  return `kubernetes-gateway://${secret}`;
}

/** Trust anchors of one or more `ConfigMap/namespace/name` or `Secret/namespace/name`, joined. */
export function trustName(anchors: readonly string[]): string {
  return `trust://${anchors.join(',')}`;
}

/** The TLS that a listener ends. */
export function listenerTls(listener: Listener, http: boolean): DownstreamTls {
  const { certificates, frontend, options } = listener;
  const mode = options[tlsModeOption] ?? '';
  if (mode.startsWith('ISTIO_'))
    return {
      certificates: [{ type: 'mesh' }],
      ...(mode === 'ISTIO_MUTUAL' ? { trust: { type: 'mesh' } } : {}),
      requireClientCertificate: mode === 'ISTIO_MUTUAL',
      subjectAltNames: [],
      alpn: http ? ['h2', 'http/1.1'] : [],
    };
  const byOption = mode === 'MUTUAL' || mode === 'OPTIONAL_MUTUAL';
  const anchors =
    frontend?.anchors ?? (byOption ? certificates.slice(0, 1).map((key) => `Secret/${key}`) : []);
  return {
    certificates: certificates.map((key) => ({ type: 'secret', name: certificateName(key) })),
    ...(anchors.length > 0 ? { trust: { type: 'secret', name: trustName(anchors) } } : {}),
    requireClientCertificate: frontend ? !frontend.insecureFallback : mode === 'MUTUAL',
    ...(frontend?.insecureFallback ? { acceptUntrusted: true } : {}),
    subjectAltNames: [],
    alpn: http ? ['h2', 'http/1.1'] : [],
  };
}

/** The anchors that `listenerTls` refers to. */
export function anchorsOf(listener: Listener): readonly string[] | undefined {
  const trust = listenerTls(listener, true).trust;
  return trust?.type === 'secret' ? trust.name.slice('trust://'.length).split(',') : undefined;
}
