interface KnownDifference {
  readonly why: string;
  /** Exactly these, or the case fails. */
  readonly differences: readonly string[];
}

const noNamespace = {
  why: 'the peer looks for the credentials of a gateway in a namespace without a name, and reports that there is none',
  differences: ['missing IST0101 Error Gateway httpbin-gateway'],
};

/** Cases in which what is recorded is not what a user should be told. */
export const knownDifferences: Readonly<Record<string, KnownDifference>> = {
  'deprecation (all analyzers)': {
    why: 'fields and kinds that are gone are unknown here; a deprecated field is told by its schema too',
    differences: [
      'not recorded IST0106 Error EnvoyFilter istio-system/istio-multicluster-egressgateway',
      'not recorded IST0133 Warning VirtualService foo/productpage',
      'not recorded IST0106 Error QuotaSpec istio-system/request-count',
    ],
  },
  'gatewayCustomIngressGatewayBadPortWithoutTarget (all analyzers)': noNamespace,
  'gatewayCustomIngressGatewayTranslation (all analyzers)': noNamespace,
  'virtualServiceDestinationHosts (all analyzers)': {
    why: 'ServiceEntries without ports, which nothing calls by name, are warned of',
    differences: [
      'not recorded IST0133 Warning ServiceEntry default/external-reviews',
      'not recorded IST0133 Warning ServiceEntry default/eu-wildcard',
      'not recorded IST0133 Warning ServiceEntry other/service-entry-other',
      'not recorded IST0133 Warning ServiceEntry other/service-entry-exported',
    ],
  },
  'virtualServiceGateways (all analyzers)': {
    why: 'the peer reports the selector of a gateway without servers as matching no pod, though the ingress gateway has the label',
    differences: [
      'missing IST0101 Error Gateway another/crossnamespace-gw',
      'missing IST0101 Error Gateway httpbin-gateway',
    ],
  },
  'EnvoyFilterUsesReplaceOperation (all analyzers)': {
    why: 'values of patches are checked against the messages of Envoy that they become',
    differences: ['not recorded IST0106 Error EnvoyFilter bookinfo/test-replace-3'],
  },
  'EnvoyFilterUsesAddOperation (all analyzers)': {
    why: 'values of patches are checked against the messages of Envoy that they become, and unknown fields are errors',
    differences: ['test-auth-2', 'test-auth-3', 'test-auth-4', 'test-auth-5'].map(
      (name) => `not recorded IST0106 Error EnvoyFilter bookinfo/${name}`,
    ),
  },
};
