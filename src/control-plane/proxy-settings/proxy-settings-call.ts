import { type ProxySettingsRequest, proxySettingsPath } from '../../kit/proxy-settings-call.ts';
import type { OwnCall } from '../own-call.ts';
import type { SettingsBook } from './settings-book.ts';

/** `ostria.v1.ProxySettingsService/Get` */
export function proxySettingsCall(book: SettingsBook): OwnCall {
  return {
    path: proxySettingsPath,
    read(request) {
      const asked = request as ProxySettingsRequest;
      if (asked.group !== undefined && typeof asked.group !== 'string') throw new Error('group is no name');
      const maps: readonly unknown[] = [asked.labels, asked.metadata];
      if (maps.some((map) => typeof map !== 'object' || map === null))
        throw new Error('labels and metadata must be mappings');
      return () => book.of(asked);
    },
  };
}
