import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  connectTimeoutProblem,
  detectionTimeoutProblem,
  drainDurationProblem,
  durationNanos,
  timeoutProblem,
} from '../../src/config/kinds/istio/durations.ts';
import { providerServiceProblem } from '../../src/config/kinds/istio/extension-providers.ts';
import {
  fqdnProblem,
  gatewayHostProblem,
  hostPortProblem,
  isPort,
  wildcardDomainProblem,
} from '../../src/config/kinds/istio/hosts.ts';
import { localitiesProblem } from '../../src/config/kinds/istio/localities.ts';
import { validateMeshConfig } from '../../src/config/kinds/istio/validate-mesh-config.ts';
import { parseCidr, parseIp } from '../../src/kit/ip.ts';
import type { CaseOutcome } from './group.ts';

interface RecordedScalar {
  validator: string;
  name: string;
  args: (string | string[])[];
  valid: boolean;
}

type Accepts = (first: string, second: string, list: readonly string[]) => boolean;

const ok = (problem: string | undefined) => problem === undefined;

/** The peer's validators of single values, and ours. */
const validators: Readonly<Record<string, Accepts>> = {
  ValidateFQDN: (host) => ok(fqdnProblem(host)),
  ValidateWildcardDomain: (host) => ok(wildcardDomainProblem(host)),
  ValidateWildcardDomainForVirtualServiceBoundToGateway: (sni, host) =>
    ok(gatewayHostProblem(host, sni === 'true')),
  ValidatePort: (port) => isPort(Number(port)),
  ValidateProxyAddress: (address) => ok(hostPortProblem(address)),
  ValidateIPAddress: (text) => parseIp(text) !== undefined,
  ValidateIPSubnet: (text) => parseCidr(text) !== undefined,
  ValidateDuration: (text) => ok(timeoutProblem(text)),
  ValidateDrainDuration: (text) => ok(drainDurationProblem(text)),
  ValidateConnectTimeout: (text) => ok(connectTimeoutProblem(text)),
  ValidateProtocolDetectionTimeout: (text) => ok(detectionTimeoutProblem(text)),
  ValidateMaxServerConnectionAge: (text) => (durationNanos(text) ?? 0n) > 0n,
  ValidateControlPlaneAuthPolicy: (policy) => {
    const number = Number(policy);
    const controlPlaneAuthPolicy = Number.isNaN(number) ? policy : number;
    return validateMeshConfig({ defaultConfig: { controlPlaneAuthPolicy } }).length === 0;
  },
  validateExtensionProviderService: (service) => ok(providerServiceProblem(service)),
  validateLocalities: (_, __, localities) => ok(localitiesProblem(localities)),
};

export function runScalars(folder: string): CaseOutcome[] {
  const cases = JSON.parse(readFileSync(join(folder, 'validate/scalars.json'), 'utf8')) as RecordedScalar[];
  return cases.map(({ validator, name: title, args, valid }) => {
    const name = `${validator} ${title} ${JSON.stringify(args).slice(0, 80)}`;
    const accepts = validators[validator];
    if (!accepts) return { name, outcome: 'skipped', why: `no counterpart of ${validator}` };
    const texts = args.filter((arg) => typeof arg === 'string');
    const lists = args.find((arg) => Array.isArray(arg)) ?? [];
    if (accepts(texts[0] ?? '', texts[1] ?? '', lists) === valid) return { name, outcome: 'passed' };
    return { name, outcome: 'failed', why: valid ? 'refused' : 'accepted, but should be refused' };
  });
}
