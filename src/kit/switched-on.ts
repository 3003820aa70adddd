/** Whether a setting of Istio's proxies says yes: `true` or `1`, in any case of letters. Absent: no. */
export function isSwitchedOn(value: unknown): boolean {
  return ['true', '1'].includes(String(value ?? '').toLowerCase());
}
