import { protocolAsTcp } from '../../config/kinds/protocol-notes.ts';
import { type Analyzer, kinds } from '../analyzer.ts';

/** OST0110: ports of a protocol that no filter of stock Envoy understands. Whoever wrote the name may expect more than TCP. */
export const unreadProtocolAnalyzer: Analyzer = {
  name: 'ostria.UnreadProtocolAnalyzer',
  perObject: true,
  inputs: [kinds.service, kinds.serviceEntry],
  analyze: (view) => {
    for (const kind of [kinds.service, kinds.serviceEntry])
      for (const item of view.all(kind))
        for (const { code, path, message } of view.issuesOf(item))
          if (code === protocolAsTcp) view.report('OST0110', item, message, path);
  },
};
