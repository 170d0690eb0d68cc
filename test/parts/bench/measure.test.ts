import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { measure, RunFailedError } from '../../../bench/measure.ts';

describe('measuring a process', () => {
  it('says what a Node process took and what it printed last', async () => {
    const script = "console.log('first'); console.log(JSON.stringify({ lines: 3 }))";
    const measured = await measure({ program: 'node', args: ['-e', script] });
    expect(measured.printed).toEqual({ lines: 3 });
    expect(measured.wallMs).toBeGreaterThan(0);
    expect(measured.cpuMs).toBeGreaterThan(0);
    expect(measured.peakRssMb).toBeGreaterThan(1);
  });

  it('sees the memory that a process held for a moment, and not that of its parent', async () => {
    const held = Buffer.alloc(300_000_000, 1);
    const small = await measure({ program: 'node', args: ['-e', ''] });
    const large = await measure({ program: 'node', args: ['-e', 'Buffer.alloc(200_000_000, 1)'] });
    expect(held[0]).toBe(1);
    expect(large.peakRssMb! - small.peakRssMb!).toBeGreaterThan(150);
    if (process.platform === 'linux') expect(small.peakRssMb!).toBeLessThan(200);
  });

  it('measures other programs as far as this machine can', async () => {
    const measured = await measure({ program: process.execPath, args: ['-e', 'console.log("{}")'] });
    expect(measured.wallMs).toBeGreaterThan(0);
    expect(measured.printed).toEqual({});
  });

  it('fails if the process does, with what it complained about', async () => {
    const run = measure({ program: 'node', args: ['-e', "console.error('no such file'); process.exit(3)"] });
    await expect(run).rejects.toThrow(RunFailedError);
    await expect(run).rejects.toThrow(/exit 3[\s\S]*no such file/);
  });

  it('fails if there is no such script', async () => {
    await expect(measure({ program: 'node', args: ['/no/such/script.mjs'] })).rejects.toThrow(RunFailedError);
  });
});

describe('the peers', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bench-peers-'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const peers = join(import.meta.dirname, '../../../bench/peers');

  it.each(['readline.mjs', 'readline-tuned.mjs'])(
    'check each line, so that they do the work: %s',
    async (peer) => {
      const input = join(folder, 'in.jsonl');
      const line = '{"custom_id": "1", "method": "POST", "url": "/v1/responses", "body": {"model": "m"}}\n';
      const args = [join(peers, peer), input, folder];
      writeFileSync(input, line);
      expect((await measure({ program: 'node', args })).printed).toEqual({ lines: 1 });
      writeFileSync(input, line + line);
      await expect(measure({ program: 'node', args })).rejects.toThrow(/duplicate custom_id/);
      writeFileSync(input, line.replace('POST', 'GET'));
      await expect(measure({ program: 'node', args })).rejects.toThrow(/not a request/);
      writeFileSync(input, `${line}{"custom_id"`);
      await expect(measure({ program: 'node', args })).rejects.toThrow(/JSON/);
    },
  );
});
