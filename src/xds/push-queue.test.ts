import { describe, expect, it } from 'vitest';
import { type Pushable, PushQueue } from './push-queue.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('PushQueue', () => {
  it('gives each its turn once, first come first served, however often it was added', async () => {
    const queue = new PushQueue(1_000);
    const order: number[] = [];
    const streams = [0, 1, 2].map((id): Pushable => ({ advance: () => order.push(id) * 0 }));
    for (const stream of [...streams, ...streams]) queue.add(stream);
    await turn();
    await turn();
    expect(order).toEqual([0, 1, 2]);
    expect(queue.length).toBe(0);
  });

  it('lets other events in after a slice of time or bytes, and goes on', async () => {
    for (const queue of [new PushQueue(0), new PushQueue(1_000)]) {
      let advanced = 0;
      const makeStream = (): Pushable => ({
        advance: () => {
          advanced++;
          const until = performance.now() + 0.5;
          while (performance.now() < until);
          return 3_000_000;
        },
      });
      for (let i = 0; i < 5; i++) queue.add(makeStream());
      await turn();
      expect(advanced).toBeLessThan(5);
      for (let i = 0; i < 6; i++) await turn();
      expect(advanced).toBe(5);
    }
  });

  it('does not give one that adds itself again a second turn before the others', async () => {
    const queue = new PushQueue(1_000);
    const order: string[] = [];
    let left = 3;
    const greedy: Pushable = {
      advance: () => {
        order.push('greedy');
        if (--left > 0) queue.add(greedy);
        return 0;
      },
    };
    queue.add(greedy);
    queue.add({ advance: () => order.push('other') * 0 });
    for (let i = 0; i < 6; i++) await turn();
    expect(order).toEqual(['greedy', 'other', 'greedy', 'greedy']);
  });

  it('forgets one that ends', async () => {
    const queue = new PushQueue(1_000);
    let advanced = 0;
    const stream: Pushable = { advance: () => ++advanced };
    queue.add(stream);
    queue.remove(stream);
    await turn();
    await turn();
    expect(advanced).toBe(0);
  });
});
