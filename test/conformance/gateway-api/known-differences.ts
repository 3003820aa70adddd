const waypoints = 'waypoints are not built';

/** Case → what differs (the beginning of the line) → why. A case with such a difference counts as skipped. */
export const knownDifferences: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'mix-backend-policy': {
    'BackendTLSPolicy default/tls-upstream-echo-extra':
      "of two policies for one service the younger is in conflict, as the API has it and the peer's own case backend-tls-policy",
  },
  waypoint: { 'Gateway ns/': waypoints },
  'listenerset-invalid': {
    'ListenerSet istio-system/invalid-class': waypoints,
    'Gateway istio-system/waypoint': waypoints,
  },
  invalid: {
    'Gateway istio-system/udp-protocol':
      'UDP listeners, which the peer refuses, work; a parent Service that does not exist is told; a listener that is not accepted is not programmed',
    'Gateway istio-system/protocol-lower-case': '',
    'Gateway istio-system/unknown-protocol': '',
    'HTTPRoute default/invalid-backendRef-serviceimport': '',
    'HTTPRoute default/invalid-parentRef-service': '',
  },
  'listenerset-cross-namespace': {
    'ListenerSet ns2/':
      'a certificate that may not be referred to leaves its references unresolved; the listener itself is accepted',
  },
};
