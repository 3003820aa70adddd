import type { TrafficExtensionSpec } from '../../../../gen/crd/types/istio/traffic-extension.ts';
import type { WasmPluginSpec } from '../../../../gen/crd/types/istio/wasm-plugin.ts';
import { parseUrl } from '../../cel/library/network.ts';
import type { FieldPath } from '../../field-path.ts';
import { quote, type Report } from '../../report.ts';
import { checkPolicyTarget, each, specValidator } from './common.ts';
import { checkPort } from './hosts.ts';

const SCHEMES = ['http', 'https', 'file', 'oci'];
const MAX_LUA = 64 * 1024;
const MAX_NAME = 256;

type WasmModule = Pick<WasmPluginSpec, 'url' | 'sha256' | 'vmConfig' | 'imagePullSecret' | 'pluginName'>;

export const validateWasmPlugin = specValidator<WasmPluginSpec>((spec, path, report) => {
  checkPolicyTarget(report, path, spec);
  checkWasm(report, path, spec);
  checkMatch(report, path.field('match'), spec.match);
});

export const validateTrafficExtension = specValidator<TrafficExtensionSpec>((spec, path, report) => {
  checkPolicyTarget(report, path, spec);
  const { wasm, lua } = spec;
  if (!wasm === !lua) report.invalid(path, 'needs exactly one of wasm, lua');
  if (wasm) checkWasm(report, path.field('wasm'), wasm);
  if (lua) {
    const place = path.field('lua').field('inlineCode');
    if (lua.inlineCode === '') report.required(place, 'is required');
    if (new TextEncoder().encode(lua.inlineCode).length > MAX_LUA)
      report.error(place, 'FieldValueTooLong', 'must be at most 64 kB');
  }
  checkMatch(report, path.field('match'), spec.match);
});

function checkWasm(report: Report, path: FieldPath, wasm: WasmModule): void {
  checkUrl(report, path.field('url'), wasm.url);
  if (wasm.sha256 && !/^[a-f0-9]{64}$/.test(wasm.sha256))
    report.invalid(path.field('sha256'), 'must be 64 lower case hexadecimal digits');
  if ((wasm.pluginName?.length ?? 0) > MAX_NAME)
    report.error(path.field('pluginName'), 'FieldValueTooLong', `must be at most ${MAX_NAME} characters`);
  const names = new Set<string>();
  each(wasm.vmConfig?.env, path.field('vmConfig').field('env'), ({ name, value, valueFrom }, place) => {
    if (!name) report.required(place.field('name'), 'a variable needs a name');
    if (names.has(name))
      report.error(place.field('name'), 'FieldValueDuplicate', `${quote(name)} is set twice`);
    names.add(name);
    if (valueFrom === 'HOST' && value)
      report.invalid(place.field('value'), 'comes from the host; remove it, or valueFrom');
  });
}

function checkUrl(report: Report, path: FieldPath, text: string): void {
  if (text === '') {
    report.required(path, 'is required');
    return;
  }
  // Without a scheme it names an OCI image.
  const url = parseUrl(text.includes('://') ? text : `oci://${text}`);
  if (!url) report.invalid(path, `${quote(text)} is not a URL`);
  else if (!SCHEMES.includes(url.scheme))
    report.error(
      path,
      'FieldValueNotSupported',
      `${quote(url.scheme)} is not supported; use oci, https, http or file`,
    );
}

function checkMatch(
  report: Report,
  path: FieldPath,
  match: readonly { ports?: { number: number }[] }[] | undefined,
): void {
  each(match, path, ({ ports }, place) =>
    each(ports, place.field('ports'), ({ number }, at) => checkPort(report, at.field('number'), number)),
  );
}
