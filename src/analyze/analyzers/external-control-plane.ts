import { parseIp } from '../../kit/ip.ts';
import { type Analyzer, kinds } from '../analyzer.ts';
import { webhooksOf } from '../webhooks.ts';

const ours = /^(istio-validator|istiod-default-validator|istio-sidecar-injector)/;

/** IST0163 and IST0164: webhooks of a control plane elsewhere whose address cannot be used, or will not last. */
export const externalControlPlaneAnalyzer: Analyzer = {
  name: 'externalcontrolplane.ExternalControlPlaneAnalyzer',
  inputs: [kinds.mutatingWebhook, kinds.validatingWebhook],
  analyze: (view) => {
    const all = [...webhooksOf(view, kinds.validatingWebhook), ...webhooksOf(view, kinds.mutatingWebhook)];
    for (const { item, webhook, path } of all) {
      const { url, service } = webhook.clientConfig ?? {};
      if (!ours.test(item.name) || service) continue;
      const host = url === undefined ? '' : hostOf(url);
      const at = `${path}.clientConfig`;
      if (!host) {
        const what = url ? `the URL ${url} has no host` : 'it has neither a URL nor a service';
        view.report(
          'IST0163',
          item,
          `${webhook.name}: ${what}; set clientConfig.url to that of the control plane`,
          at,
        );
      } else if (parseIp(host)) {
        const message = `${webhook.name} calls the address ${host}; use a host name, which survives a move`;
        view.report('IST0164', item, message, `${at}.url`);
      }
    }
  },
};

/** Without the brackets of an IPv6 address; undefined where there is none. */
function hostOf(url: string): string | undefined {
  return /^https?:\/\/(?:\[([^\]]+)\]|([^:/?#]+))/i.exec(url)?.slice(1).find(Boolean);
}
