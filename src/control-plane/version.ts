declare const __OSTRIA_VERSION__: string | undefined;

/** Ostria's version; the bundler writes it in. */
export function ostriaVersion(): string {
  return typeof __OSTRIA_VERSION__ === 'string' ? __OSTRIA_VERSION__ : '0.0.0-dev';
}
