import { hasFormat } from '../../schema/formats.ts';
import { CelError, type CelValue, type Opaque, Optional } from '../value.ts';
import { asString, handler, type Library } from './handler.ts';

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;
const LABEL_VALUE = /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/;
const QUALIFIED = /^([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/;

function qualifiedName(text: string): boolean {
  const [name = '', prefix, ...rest] = text.split('/').reverse();
  if (rest.length > 0 || (prefix !== undefined && (prefix.length > 253 || !SUBDOMAIN.test(prefix))))
    return false;
  return name.length <= 63 && QUALIFIED.test(name);
}

/** The named formats of Kubernetes' `format` library. */
const tests: Record<string, (text: string) => boolean> = {
  dns1123Label: (text) => text.length <= 63 && LABEL.test(text),
  dns1123Subdomain: (text) => text.length <= 253 && SUBDOMAIN.test(text),
  dns1035Label: (text) => text.length <= 63 && /^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(text),
  dns1123LabelPrefix: (text) => text.length <= 63 && LABEL.test(text.replace(/-$/, 'a')),
  dns1123SubdomainPrefix: (text) => text.length <= 253 && SUBDOMAIN.test(text.replace(/[-.]$/, 'a')),
  dns1035LabelPrefix: (text) =>
    text.length <= 63 && /^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(text.replace(/-$/, 'a')),
  qualifiedName,
  labelValue: (text) => text.length <= 63 && LABEL_VALUE.test(text),
  uri: (text) => hasFormat('uri', text),
  uuid: (text) => hasFormat('uuid', text),
  byte: (text) => hasFormat('byte', text),
  date: (text) => hasFormat('date', text),
  datetime: (text) => hasFormat('date-time', text),
};

class Format implements Opaque {
  readonly opaque = 'kubernetes.NamedFormat';
  readonly name: string;
  constructor(name: string) {
    this.name = name;
  }
  equals(other: Opaque): boolean {
    return other instanceof Format && other.name === this.name;
  }
}

export const formatNamespaces: Library = {
  ...Object.fromEntries(
    Object.keys(tests).map((name) => [`format.${name}`, handler(0, () => new Format(name))]),
  ),
  'format.named': handler(1, (_, [name]) => {
    const wanted = asString(name).toLowerCase();
    const known = Object.keys(tests).find((key) => key.toLowerCase() === wanted);
    return known === undefined ? Optional.none : new Optional(new Format(known));
  }),
};

export const formatMethods: Library = {
  validate: handler(1, (_, [format, text]): CelValue => {
    if (!(format instanceof Format)) throw new CelError('validate() needs a format');
    if (tests[format.name]?.(asString(text))) return Optional.none;
    return new Optional([`must be a ${format.name}`]);
  }),
};
