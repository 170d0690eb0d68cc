import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../../../src/contract/settings.ts';
import { listArrivals, readArrival, writeArrival } from '../../../../src/core/files/arrivals.ts';
import { MemoryObjects } from '../../../support/memory/objects.ts';

const BATCH = { jobId: 'job', batchId: '1-0' };

function depsOf() {
  const ambient = { now: () => 1_790_000_000_000, nonce: () => '0' };
  return { settings: defaultSettings(), objects: new MemoryObjects({ bucket: 'b' }, ambient) };
}

const arrivalOf = (id: string) => ({ id, status: 'completed', begun: 'yes', body: '{"a":1}' }) as const;

describe('arrivals', () => {
  it('are listed by the place of their request, and read', async () => {
    const deps = depsOf();
    expect(await listArrivals(deps, BATCH)).toEqual([]);
    await writeArrival(deps, BATCH, 12, { ...arrivalOf('resp_12'), requestId: 'req_1' });
    await writeArrival(deps, BATCH, 3, arrivalOf('resp_3'));
    await writeArrival(deps, { ...BATCH, batchId: '1-0.1' }, 4, arrivalOf('resp_4'));
    expect(await listArrivals(deps, BATCH)).toEqual([3, 12]);
    expect(await readArrival(deps, BATCH, 12)).toEqual({
      v: 1,
      ...arrivalOf('resp_12'),
      requestId: 'req_1',
    });
    expect(await readArrival(deps, BATCH, 4)).toBeUndefined();
  });

  it('count once for each request: the first one stays', async () => {
    const deps = depsOf();
    await writeArrival(deps, BATCH, 0, arrivalOf('resp_a'));
    await writeArrival(deps, BATCH, 0, arrivalOf('resp_b'));
    expect((await readArrival(deps, BATCH, 0))?.id).toBe('resp_a');
  });
});
