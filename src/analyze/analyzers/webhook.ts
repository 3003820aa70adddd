import { type Analyzer, kinds } from '../analyzer.ts';
import { isInjector, selectorsOverlap, webhooksOf } from '../webhooks.ts';

/** IST0139: injectors that nobody answers for, or that both inject one pod. */
export const webhookAnalyzer: Analyzer = {
  name: 'webhook.Analyzer',
  inputs: [kinds.mutatingWebhook, kinds.service],
  analyze: (view) => {
    const services = new Set(view.all(kinds.service).map(({ namespace, name }) => `${namespace}/${name}`));
    const injectors = webhooksOf(view, kinds.mutatingWebhook).filter(isInjector);
    const told = new Set<string>();
    for (const one of injectors) {
      const { item, webhook, path } = one;
      const { service } = webhook.clientConfig ?? {};
      const key = `${service?.namespace}/${service?.name}`;
      const about = `${item.name} ${key}`;
      if (service && !services.has(key) && !told.has(about)) {
        told.add(about);
        const message = `there is no service ${key}, so pods cannot be injected; install the control plane, or remove the webhook`;
        view.report('IST0139', item, message, `${path}.clientConfig.service`);
      }
      const rivals = injectors.filter(
        (other) =>
          other !== one &&
          selectorsOverlap(webhook.namespaceSelector, other.webhook.namespaceSelector) &&
          selectorsOverlap(webhook.objectSelector, other.webhook.objectSelector),
      );
      if (rivals.length === 0) continue;
      const names = rivals.map((rival) => `${rival.webhook.name} of ${rival.item.name}`).join(', ');
      const message = `${webhook.name} selects pods that are also injected by ${names}; make their selectors exclude each other`;
      view.report('IST0139', item, message, path);
    }
  },
};
