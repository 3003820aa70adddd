import type { ConfigObject } from '../../../src/config/object.ts';
import { Random } from '../../../src/snapshot/engine/testing/random.ts';
import { randomGatewayApi } from '../gateway-api-arbitrary.ts';
import { randomSecurity } from '../security-arbitrary.ts';
import { randomConfig, randomRequest, type TrafficRequest } from '../traffic-arbitrary.ts';
import { withAuthorizers } from './authorizers-arbitrary.ts';
import { capturedRequest, outsideConfig, withAddresses } from './captured-arbitrary.ts';
import { withConnectionRoutes } from './connection-routes-arbitrary.ts';
import type { Differential } from './harness.ts';
import { randomIngress } from './ingress-arbitrary.ts';
import { opaqueConfig, opaqueRequest } from './opaque-arbitrary.ts';
import { withPlaces } from './places-arbitrary.ts';
import { withHttp2, withProtocols } from './protocols-arbitrary.ts';

/** A configuration and what is asked of it. */
export interface DrawnCase {
  readonly config: readonly ConfigObject[];
  readonly requests: readonly TrafficRequest[];
}

/** The case of a seed. Each part of the vocabulary has draws of its own, so that a new one leaves the others as they are. */
export function drawCase(seed: number, harness: Differential, count: number): DrawnCase {
  const random = new Random(seed);
  const further = new Random(seed + 1_000_003);
  const away = new Random(seed + 2_000_003);
  const config = withAddresses(away, [
    ...withPlaces(
      further,
      withProtocols(further, randomConfig(random, harness.backends, harness.tlsPort)),
      harness.deadPort,
    ),
    ...withAuthorizers(further, [
      ...withConnectionRoutes(further, randomGatewayApi(random)),
      ...randomSecurity(random, harness.keys),
    ]),
    ...withPlaces(further, opaqueConfig(further, harness.backends), harness.deadPort),
    ...randomIngress(further),
    ...outsideConfig(away, harness.outside, harness.backends),
  ]);
  const requests = Array.from({ length: count }, () => {
    const request = randomRequest(random, harness.entries, harness.tokens);
    const other = further.chance(0.12)
      ? opaqueRequest(further, harness.opaqueEntries)
      : withHttp2(further, request);
    return away.chance(0.2)
      ? capturedRequest(away, harness.capturedEntries, harness.tokens, harness.outside)
      : other;
  });
  return { config, requests };
}
