import { explainBy } from '../../../plan/explain.ts';

export const explain = explainBy('DestinationRule', [
  [/^spec\.subsets\[(\d+)\]\.trafficPolicy\.(\w+)/, "$2 of subset $1, which goes before the rule's own"],
  [/^spec\.subsets\[(\d+)\]$/, 'subset $1 selects the endpoints by their labels'],
  [/^spec\.trafficPolicy\.(\w+)/, "$1 of the rule's own policy"],
]);
