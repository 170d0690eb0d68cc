/** `npm run demo`: the main job on real input, on this machine: 3,201 films go in, 3,201 answers come out. */
import { spawnSync } from 'node:child_process';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { localProcess } from '../cli/commands/local-process.ts';
import { EXIT_CANNOT_RUN, EXIT_SUCCEEDED } from '../cli/view/exit.ts';
import { DEFAULT_STATE_DIR } from '../local/stack/running-file.ts';

const OUT = 'out/demo';
const INPUT = join(OUT, 'movies.jsonl');

async function demo(): Promise<number> {
  const made = spawnSync(process.execPath, [join(import.meta.dirname, 'movies.ts'), INPUT], {
    stdio: 'inherit',
  });
  if (made.status !== 0) return EXIT_CANNOT_RUN;
  const status = await localProcess([INPUT], { out: OUT, state: DEFAULT_STATE_DIR });
  if (status !== EXIT_SUCCEEDED) return status;

  const output = join(OUT, 'output/movies.jsonl');
  for await (const line of createInterface({ input: createReadStream(output) })) {
    const { custom_id, response } = JSON.parse(line);
    console.log(
      `\nThe first line of ${output}:\n  ${custom_id}: ${response.body.choices[0].message.content}`,
    );
    break;
  }
  return status;
}

process.exitCode = await demo();
