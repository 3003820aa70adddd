import type { ChangedClass } from '../../impact/impact.ts';

/** Classes as they are told, and those that are counted beside them. */
export interface Folded {
  readonly told: readonly ChangedClass[];
  readonly minor: readonly ChangedClass[];
}

/**
 * Sets apart what nobody does on purpose: connections that fail before the change since their port takes HTTP, and calls to the ports
 * (`proxyPorts`) at which proxies take what the kernel hands them. Where there is nothing else, they are the news.
 */
export function withoutMinor(changed: readonly ChangedClass[], proxyPorts: ReadonlySet<number>): Folded {
  const { told = [], minor = [] } = Object.groupBy(changed, (one) =>
    isMinor(one, proxyPorts) ? 'minor' : 'told',
  );
  return told.length > 0 ? { told, minor } : { told: changed, minor: [] };
}

function isMinor({ witness: { url }, before }: ChangedClass, proxyPorts: ReadonlySet<number>): boolean {
  const port = /^[a-z]+:\/\/[^/?]+:(\d+)(?:[/?]|$)/.exec(url)?.[1];
  return proxyPorts.has(Number(port)) || (url.startsWith('tcp:') && isNoHttp(before));
}

/** What a proxy says to bytes that it takes for HTTP. */
function isNoHttp({ ends }: ChangedClass['before']): boolean {
  return ends.length > 0 && ends.every(({ outcome, status }) => outcome === 'fails' && status === 400);
}
