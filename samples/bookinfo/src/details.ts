// Facts about the book.
import { type Route, serve } from './http-service.ts';

const routes: readonly Route[] = [
  {
    method: 'GET',
    path: /^\/health$/,
    handle: () => ({ body: { status: 'details is healthy' } }),
  },
  {
    method: 'GET',
    path: /^\/details\/(?<id>[^/]*)$/,
    handle: ({ groups }) => {
      if (!/^-?\d+$/.test(groups.id ?? ''))
        return { status: 400, body: { error: 'the product id must be a number' } };
      return {
        body: {
          id: Number(groups.id),
          author: 'William Shakespeare',
          year: 1595,
          type: 'paperback',
          pages: 200,
          publisher: 'PublisherA',
          language: 'English',
          'ISBN-10': '1234567890',
          'ISBN-13': '123-1234567890',
        },
      };
    },
  },
];

serve('details', routes);
