/** The public face of the feature: which rules apply to a host, and what they say. */
export { ruleFiles } from './file-secrets.ts';
export { type LocalitySetting, localitySetting } from './locality-setting.ts';
export { policyFor, type TrafficPolicy } from './policy.ts';
export { retryBudgetSlot } from './policy-plan.ts';
export {
  appliedRulesSlot,
  credentialsOf,
  type DestinationRule,
  destinationRuleFor,
  destinationRuleKind,
  meshTlsNamesSlot,
  ownPoolSlot,
  rulesFor,
  rulesWithCredentials,
  subsetsOf,
  tlsChoiceSlot,
} from './rules.ts';
