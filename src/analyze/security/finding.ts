import type { ConfigObject } from '../../config/object.ts';
import type { Position } from '../../config/source-map.ts';
import { kindKey, type SourceObject } from '../analyzer.ts';

/** From harmless to bad. Info: meant to be so in most meshes, and worth knowing. */
export const findingLevels = ['Info', 'Low', 'Medium', 'High'] as const;
export type FindingLevel = (typeof findingLevels)[number];

/** A spot that is more open than it need be. */
export interface Finding {
  /** Stable: `MtlsPermissive`, `AllowsEverybody`, … */
  readonly code: string;
  readonly level: FindingLevel;
  /** `Kind namespace/name`, or the part of the installation that is meant. */
  readonly resource: string;
  /** JSON path of the field that opens it; '' is the object, or that something is missing. */
  readonly path: string;
  readonly what: string;
  readonly why: string;
  readonly mend: string;
  readonly position?: Position;
}

/** What is known beside the objects. */
export interface SecurityFacts {
  readonly rootNamespace: string;
  /** Peer authentication where no object says anything. */
  readonly defaultMtlsMode: string;
  readonly outboundTrafficPolicy: string;
  /** The workloads run by `ostria up`, reached through loopback listeners. */
  readonly standalone: boolean;
  /** Ranges of `allowFetch`. */
  readonly allowFetch: readonly string[];
  /** Certificates of the authority, with their ends. */
  readonly certificates: readonly { readonly what: string; readonly notAfter: Date }[];
  /** When the first certificate of a workload ends, where that is known. */
  readonly firstWorkloadEnd?: Date;
  /** Hosts that the control plane's servers listen on: `api`, `xds`, `insecureXds`, `monitoring`. Empty: not known. */
  readonly listeners: Readonly<Record<string, string>>;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

export interface SecurityView extends SecurityFacts {
  /** Objects of a kind, written `Kind.group`. */
  all<S = Readonly<Record<string, unknown>>>(
    kind: string,
  ): readonly (SourceObject & { object: ConfigObject<S> })[];
}

export type SecurityCheck = (view: SecurityView) => Finding[];

/** A finding about an object. */
export function about(
  { object, positions }: SourceObject,
  path: string,
  fields: Omit<Finding, 'resource' | 'path' | 'position'>,
): Finding {
  const { namespace, name } = object.metadata;
  const position = positions?.at(path);
  return {
    ...fields,
    resource: `${object.kind} ${namespace ? `${namespace}/` : ''}${name}`,
    path,
    ...(position ? { position } : {}),
  };
}

export function createView(sources: readonly SourceObject[], facts: SecurityFacts): SecurityView {
  const byKind = Map.groupBy(sources, ({ object }) => kindKey(object));
  return {
    ...facts,
    all: <S>(kind: string) => (byKind.get(kind) ?? []) as (SourceObject & { object: ConfigObject<S> })[],
  };
}
