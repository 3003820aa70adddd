import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { parse } from 'yaml';
import { CodedError, messageOf } from '../../kit/coded-error.ts';
import { type KeyType, keyTypes } from '../certificate-signing-request.ts';
import type { BucketOptions } from '../rate-limit.ts';
import { SettingsReader } from './settings-reader.ts';

/** The file of `--identity`: who may connect, and who signs. Paths in it are relative to the file. */
export interface IdentitySettings {
  /** Issuers whose JSON Web Tokens prove an identity. */
  readonly tokens: readonly TokenIssuer[];
  /** Kubernetes API servers that are asked about tokens of service accounts. */
  readonly tokenReviews: readonly TokenReviewer[];
  /** Who signs the workloads' certificates instead of the control plane. */
  readonly externalAuthority?: ExternalAuthoritySettings;
  /** Kind of the key of self-signed roots that are made from now on. Default `ecdsa-p256`. */
  readonly rootKeyType?: KeyType;
  /** SPIFFE ids that may ask for certificates of others: control planes that sign with this one. */
  readonly registrationAuthorities: readonly string[];
  readonly limits: ConnectLimits;
}

export interface TokenIssuer {
  /** The `iss` claim. */
  readonly issuer: string;
  /** One of them must be among the token's `aud`. */
  readonly audiences: readonly string[];
  /** A JSON Web Key Set. Default: where the issuer's discovery document says. */
  readonly keysUrl?: string;
  readonly keysFile?: string;
  /** PEM file of the roots of the issuer's server. Default: Node's own. */
  readonly caFile?: string;
  /** `kubernetes`: the subject is `system:serviceaccount:NAMESPACE:NAME`. */
  readonly identities: 'kubernetes' | readonly IdentityRule[];
}

/** Whom a token stands for. The first rule decides whose claims all match. */
export interface IdentityRule {
  /** Claims and the text that each must be; a `*` at its end stands for anything. */
  readonly claims: Readonly<Record<string, string>>;
  readonly namespace: ClaimOrText;
  readonly serviceAccount: ClaimOrText;
  /** Namespaces that may come out of a claim. Default: all. */
  readonly namespaces?: readonly string[];
}

/** A fixed text, or the path of a claim. */
export type ClaimOrText = { readonly text: string } | { readonly claim: readonly string[] };

export interface KubernetesAccess {
  readonly kubeconfig?: string;
  readonly server?: string;
  readonly caFile?: string;
  readonly tokenFile?: string;
}

export interface TokenReviewer extends KubernetesAccess {
  readonly audiences: readonly string[];
}

interface ExternalCommon {
  /** PEM file of the roots that issued certificates must come from: what the mesh trusts. Looked at again and again. */
  readonly rootFile: string;
}

/** Another `istio.v1.auth.IstioCertificateService`. */
export interface GrpcAuthoritySettings extends ExternalCommon {
  readonly type: 'grpc';
  /** `host:port`. */
  readonly address: string;
  readonly serverName?: string;
  /** PEM file of the roots of its server. Default: `rootFile`. */
  readonly caFile?: string;
  /** Bearer token, read again at each request. */
  readonly tokenFile?: string;
  readonly certificateFile?: string;
  readonly keyFile?: string;
}

/** The Kubernetes API for certificate signing requests (certificates.k8s.io/v1). */
export interface KubernetesAuthoritySettings extends ExternalCommon, KubernetesAccess {
  readonly type: 'kubernetes';
  readonly signerName: string;
  /** Approve the requests ourselves; false: somebody else does. Default true. */
  readonly approve: boolean;
  /** Longest wait for approval and signature, in seconds. Default 20. */
  readonly waitSeconds: number;
}

/** A step-ca, or what speaks its HTTP API, with a JWK provisioner. */
export interface StepAuthoritySettings extends ExternalCommon {
  readonly type: 'step-ca';
  /** `https://host:port`. */
  readonly url: string;
  readonly caFile?: string;
  readonly provisioner: string;
  /** The provisioner's private key: a JSON Web Key, not encrypted. */
  readonly keyFile: string;
}

export type ExternalAuthoritySettings =
  | GrpcAuthoritySettings
  | KubernetesAuthoritySettings
  | StepAuthoritySettings;

export interface ConnectLimits {
  /** Certificates for one identity. */
  readonly certificatesPerIdentity?: BucketOptions;
  /** Certificates asked for from one address; loopback is one machine's whole mesh and not limited so. */
  readonly certificatesPerAddress?: BucketOptions;
  readonly certificatesTotal?: BucketOptions;
  /** xDS streams that one identity opens. */
  readonly connectsPerIdentity?: BucketOptions;
  readonly connectsPerAddress?: BucketOptions;
  /** xDS streams of one identity at one time. Default 2,000. */
  readonly streamsPerIdentity?: number;
}

export const noIdentitySettings: IdentitySettings = {
  tokens: [],
  tokenReviews: [],
  registrationAuthorities: [],
  limits: {},
};

/** Reads the file. Throws `IdentitySettingsInvalid` with every complaint. */
export async function readIdentitySettings(path: string): Promise<IdentitySettings> {
  let value: unknown;
  try {
    value = parse(await readFile(path, 'utf8'), { maxAliasCount: 0 }) ?? {};
  } catch (error) {
    throw new CodedError('IdentitySettingsInvalid', `${path}: ${messageOf(error)}`);
  }
  const reader = new SettingsReader(dirname(resolve(path)));
  const settings = parseIdentitySettings(reader, value);
  if (reader.errors.length > 0)
    throw new CodedError('IdentitySettingsInvalid', `${path}: ${reader.errors.join('; ')}`);
  return settings;
}

function parseIdentitySettings(read: SettingsReader, value: unknown): IdentitySettings {
  const top = read.object('', value);
  read.known('', top, [
    ...['tokens', 'tokenReviews', 'externalAuthority', 'rootKeyType'],
    ...['registrationAuthorities', 'limits'],
  ]);
  return {
    tokens: read.list('tokens', top.tokens, (path, one) => tokenIssuer(read, path, one)),
    tokenReviews: read.list('tokenReviews', top.tokenReviews, (path, one) => tokenReviewer(read, path, one)),
    registrationAuthorities: read.list('registrationAuthorities', top.registrationAuthorities, (path, one) =>
      read.text(path, one),
    ),
    ...(top.externalAuthority === undefined
      ? {}
      : { externalAuthority: externalAuthority(read, 'externalAuthority', top.externalAuthority) }),
    ...(top.rootKeyType === undefined
      ? {}
      : { rootKeyType: read.oneOf('rootKeyType', top.rootKeyType, keyTypes) }),
    limits: limits(read, 'limits', top.limits ?? {}),
  };
}

function tokenIssuer(read: SettingsReader, path: string, value: unknown): TokenIssuer {
  const one = read.object(path, value);
  read.known(path, one, ['issuer', 'audiences', 'keysUrl', 'keysFile', 'caFile', 'identities']);
  if (one.keysUrl !== undefined && one.keysFile !== undefined)
    read.complain(path, 'takes keysUrl or keysFile, not both');
  const audiences = read.list(`${path}.audiences`, one.audiences, (at, text) => read.text(at, text));
  if (audiences.length === 0)
    read.complain(`${path}.audiences`, 'needs one audience at least: tokens for others must not serve here');
  const identities =
    one.identities === 'kubernetes'
      ? ('kubernetes' as const)
      : read.list(`${path}.identities`, one.identities, (at, rule) => identityRule(read, at, rule));
  if (identities.length === 0) read.complain(`${path}.identities`, 'must be "kubernetes" or a list of rules');
  return {
    issuer: read.text(`${path}.issuer`, one.issuer),
    audiences,
    identities,
    ...read.optional({
      keysUrl: read.url(`${path}.keysUrl`, one.keysUrl),
      keysFile: read.path(`${path}.keysFile`, one.keysFile),
      caFile: read.path(`${path}.caFile`, one.caFile),
    }),
  };
}

function identityRule(read: SettingsReader, path: string, value: unknown): IdentityRule {
  const rule = read.object(path, value);
  read.known(path, rule, [
    'claims',
    'namespace',
    'namespaceClaim',
    'namespaces',
    'serviceAccount',
    'serviceAccountClaim',
  ]);
  const either = (name: 'namespace' | 'serviceAccount'): ClaimOrText => {
    const claim = rule[`${name}Claim`];
    if ((claim === undefined) === (rule[name] === undefined))
      read.complain(path, `needs either ${name} or ${name}Claim`);
    if (claim === undefined) return { text: read.text(`${path}.${name}`, rule[name]) };
    const steps = Array.isArray(claim) ? claim : [claim];
    return { claim: steps.map((step, i) => read.text(`${path}.${name}Claim[${i}]`, step)) };
  };
  const claims = read.object(`${path}.claims`, rule.claims ?? {});
  return {
    claims: Object.fromEntries(
      Object.entries(claims).map(([name, text]) => [name, read.text(`${path}.claims.${name}`, text)]),
    ),
    namespace: either('namespace'),
    serviceAccount: either('serviceAccount'),
    ...(rule.namespaces === undefined
      ? {}
      : { namespaces: read.list(`${path}.namespaces`, rule.namespaces, (at, text) => read.text(at, text)) }),
  };
}

const accessFields = ['kubeconfig', 'server', 'caFile', 'tokenFile'];

function kubernetesAccess(
  read: SettingsReader,
  path: string,
  one: Readonly<Record<string, unknown>>,
): KubernetesAccess {
  if (one.kubeconfig !== undefined && one.server !== undefined)
    read.complain(path, 'takes kubeconfig or server, not both');
  return read.optional({
    kubeconfig: read.path(`${path}.kubeconfig`, one.kubeconfig),
    server: read.url(`${path}.server`, one.server),
    caFile: read.path(`${path}.caFile`, one.caFile),
    tokenFile: read.path(`${path}.tokenFile`, one.tokenFile),
  });
}

function tokenReviewer(read: SettingsReader, path: string, value: unknown): TokenReviewer {
  const one = read.object(path, value);
  read.known(path, one, ['audiences', ...accessFields]);
  const audiences = read.list(`${path}.audiences`, one.audiences ?? ['istio-ca'], (at, text) =>
    read.text(at, text),
  );
  return { audiences, ...kubernetesAccess(read, path, one) };
}

function externalAuthority(read: SettingsReader, path: string, value: unknown): ExternalAuthoritySettings {
  const one = read.object(path, value);
  const rootFile = read.neededPath(`${path}.rootFile`, one.rootFile);
  const caFile = read.optional({ caFile: read.path(`${path}.caFile`, one.caFile) });
  if (one.type === 'grpc') {
    read.known(path, one, [
      ...['type', 'rootFile', 'address', 'serverName', 'caFile'],
      ...['tokenFile', 'certificateFile', 'keyFile'],
    ]);
    if ((one.certificateFile === undefined) !== (one.keyFile === undefined))
      read.complain(path, 'needs both of certificateFile and keyFile, or neither');
    return {
      type: 'grpc',
      rootFile,
      ...caFile,
      address: read.hostPort(`${path}.address`, one.address),
      ...read.optional({
        serverName:
          one.serverName === undefined ? undefined : read.text(`${path}.serverName`, one.serverName),
        tokenFile: read.path(`${path}.tokenFile`, one.tokenFile),
        certificateFile: read.path(`${path}.certificateFile`, one.certificateFile),
        keyFile: read.path(`${path}.keyFile`, one.keyFile),
      }),
    };
  }
  if (one.type === 'kubernetes') {
    read.known(path, one, ['type', 'rootFile', 'signerName', 'approve', 'waitSeconds', ...accessFields]);
    return {
      type: 'kubernetes',
      rootFile,
      ...kubernetesAccess(read, path, one),
      signerName: read.text(`${path}.signerName`, one.signerName),
      approve: one.approve !== false,
      waitSeconds: read.number(`${path}.waitSeconds`, one.waitSeconds ?? 20, 1, 300),
    };
  }
  if (one.type !== 'step-ca') read.complain(`${path}.type`, 'must be grpc, kubernetes or step-ca');
  else read.known(path, one, ['type', 'rootFile', 'url', 'caFile', 'provisioner', 'keyFile']);
  return {
    type: 'step-ca',
    rootFile,
    ...caFile,
    url: read.url(`${path}.url`, one.url) ?? read.text(`${path}.url`, one.url),
    provisioner: read.text(`${path}.provisioner`, one.provisioner),
    keyFile: read.neededPath(`${path}.keyFile`, one.keyFile),
  };
}

const bucketNames = [
  ...(['certificatesPerIdentity', 'certificatesPerAddress', 'certificatesTotal'] as const),
  ...(['connectsPerIdentity', 'connectsPerAddress'] as const),
];

function limits(read: SettingsReader, path: string, value: unknown): ConnectLimits {
  const given = read.object(path, value);
  read.known(path, given, [...bucketNames, 'streamsPerIdentity']);
  const buckets = bucketNames
    .filter((name) => given[name] !== undefined)
    .map((name) => {
      const at = `${path}.${name}`;
      const bucket = read.object(at, given[name]);
      read.known(at, bucket, ['burst', 'perSecond']);
      const burst = read.number(`${at}.burst`, bucket.burst, 1, 1e6);
      return [name, { burst, perSecond: read.number(`${at}.perSecond`, bucket.perSecond, 0.001, 1e6) }];
    });
  return {
    ...Object.fromEntries(buckets),
    ...(given.streamsPerIdentity === undefined
      ? {}
      : { streamsPerIdentity: read.number(`${path}.streamsPerIdentity`, given.streamsPerIdentity, 1, 1e6) }),
  };
}
