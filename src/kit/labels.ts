/** Whether the labels hold every pair of the selector: the empty one matches everything. */
export function holdsLabels(
  labels: Readonly<Record<string, string>>,
  selector: Readonly<Record<string, string>>,
): boolean {
  for (const name in selector) if (labels[name] !== selector[name]) return false;
  return true;
}

/** Kubernetes' label selector in its structured form. */
export interface LabelSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly LabelRequirement[];
}

export interface LabelRequirement {
  readonly key?: string;
  /** `In`, `NotIn`, `Exists` or `DoesNotExist`. */
  readonly operator?: string;
  readonly values?: readonly string[];
}

/**
 * Whether a selector takes an object of these labels; an empty one takes everything, an unknown operator nothing.
 * @see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/
 */
export function selectsLabels(
  { matchLabels = {}, matchExpressions = [] }: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  return (
    holdsLabels(labels, matchLabels) &&
    matchExpressions.every(({ key = '', operator, values = [] }) => {
      const value = labels[key];
      switch (operator) {
        case 'In':
          return value !== undefined && values.includes(value);
        case 'NotIn':
          return value === undefined || !values.includes(value);
        case 'Exists':
          return value !== undefined;
        case 'DoesNotExist':
          return value === undefined;
        default:
          return false;
      }
    })
  );
}
