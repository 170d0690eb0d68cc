/** The ports of a local stack, remembered in its state folder so that a restart does not move it. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import type { LocalEndpoints } from './local-stack.ts';

/** What has a port: the services of the stack, and the OpenAI emulator. */
export type PortName = keyof LocalEndpoints | 'openai';
/** Ports by what has them. */
export type Ports = Partial<Record<PortName, number>>;

const fileIn = (stateDir: string): string => join(stateDir, 'ports.json');

/**
 * The ports for a start: those that are given, else those of the last run as far as they are free.
 * @param onTaken called for each remembered port that is taken by now; its service gets another one.
 */
export async function choosePorts(
  stateDir: string,
  given: Ports,
  onTaken: (name: PortName, port: number) => void,
): Promise<Ports> {
  const chosen: Ports = { ...given };
  const taken = new Set(Object.values(given));
  for (const [name, port] of Object.entries(readPorts(stateDir)) as [PortName, number][]) {
    if (chosen[name] !== undefined) continue;
    if (!taken.has(port) && (await isFree(port))) chosen[name] = port;
    else onTaken(name, port);
  }
  return chosen;
}

/** Remembers where everything of a running stack listens. @param urls each with its port */
export function rememberPorts(stateDir: string, urls: Partial<Record<PortName, string>>): void {
  const ports = Object.entries(urls).map(([name, url]) => [name, Number(new URL(url).port)] as const);
  mkdirSync(stateDir, { recursive: true });
  writeFileSync(fileIn(stateDir), `${JSON.stringify(Object.fromEntries(ports))}\n`);
}

/** What is not there or not readable is not remembered. */
function readPorts(stateDir: string): Record<string, number> {
  try {
    const read = JSON.parse(readFileSync(fileIn(stateDir), 'utf8')) as Record<string, unknown>;
    return Object.fromEntries(
      Object.entries(read).filter((entry): entry is [string, number] => Number.isInteger(entry[1])),
    );
  } catch {
    return {};
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
