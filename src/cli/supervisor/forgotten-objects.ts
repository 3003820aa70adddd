import { messageOf } from '../../kit/coded-error.ts';
import type { ApiClient } from '../api/api-client.ts';
import { fieldManager, managedByLabel } from './mesh-objects.ts';
import type { ObjectPublisher } from './object-publisher.ts';

interface List {
  readonly items: readonly { readonly metadata: { readonly name: string; readonly namespace: string } }[];
}

/** Pods and WorkloadEntries of ours that stand for nothing any more. */
export async function removeForgotten(
  client: ApiClient,
  publisher: ObjectPublisher,
  isWanted: (name: string) => boolean,
  log: (line: string) => void,
): Promise<void> {
  const selector = encodeURIComponent(`${managedByLabel}=${fieldManager}`);
  for (const [path, apiVersion, kind] of [
    ['/apis/networking.istio.io/v1/workloadentries', 'networking.istio.io/v1', 'WorkloadEntry'],
    ['/api/v1/pods', 'v1', 'Pod'],
  ] as const)
    try {
      const { items } = await client.get<List>(`${path}?labelSelector=${selector}`);
      const gone = items.filter(({ metadata }) => !isWanted(metadata.name));
      await publisher.remove(gone.map(({ metadata }) => ({ apiVersion, kind, metadata })));
    } catch (error) {
      log(`objects of earlier workloads could not be listed: ${messageOf(error)}`);
    }
}
