/** One bash in which lines are typed one after another, as in a terminal: variables and functions stay. */
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';

/** What a line did. */
export interface Typed {
  status: number;
  /** What it wrote, both streams as they came. */
  text: string;
}

/** A bash that waits for lines. */
export interface Shell {
  /** Runs one line. Standard input of its commands is empty. */
  type(line: string): Promise<Typed>;
  close(): void;
}

/**
 * Starts a bash.
 * @param cwd where its commands run.
 * @param env its whole environment.
 */
export function startShell(cwd: string, env: Record<string, string | undefined>): Shell {
  // Lines come on descriptor 3, so that no command reads the next one as its input.
  const end = randomUUID();
  const loop = `exec 2>&1; while IFS= read -r -u 3 line; do eval "$line"; printf '\\n%s %s\\n' ${end} "$?"; done`;
  const bash = spawn('bash', ['-c', loop], { cwd, env, stdio: ['ignore', 'pipe', 'inherit', 'pipe'] });
  const lines = bash.stdio[3] as NodeJS.WritableStream;
  let text = '';
  let whenRead = (): void => {};
  bash.stdout!.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk;
    whenRead();
  });
  const ended = new RegExp(`\\n${end} (\\d+)\\n$`);
  return {
    type: (line) =>
      new Promise((resolve, reject) => {
        text = '';
        bash.once('exit', () => reject(new Error(`the shell ended within: ${line}`)));
        whenRead = () => {
          const found = ended.exec(text);
          if (found === null) return;
          bash.removeAllListeners('exit');
          resolve({ status: Number(found[1]), text: text.slice(0, found.index) });
        };
        lines.write(`${line}\n`);
      }),
    close: () => {
      bash.removeAllListeners('exit');
      bash.kill();
    },
  };
}
