/** Whether a file holds assertions (`ostria test`): it stands beside configuration, and is none. */
export function isTestFile(name: string): boolean {
  return /\.mesh-test\.ya?ml$/.test(name);
}
