/** `batchdrop local up`: keeps the local stack running until it is interrupted, and says what it does. */
import { once } from 'node:events';
import type { StateChange } from '../../local/services/cloudwatch/alarm-rule.ts';
import type { BusEvent } from '../../local/services/eventbridge/events.ts';
import { choosePorts, type Ports, rememberPorts } from '../../local/stack/ports.ts';
import { defaultSettings } from '../../src/contract/settings.ts';
import { loadLocalStack } from '../options/local-stack.ts';
import { chooseOpenAI } from '../options/openai.ts';
import { settingsOf } from '../options/settings.ts';
import { stackFlags } from '../options/stack-flags.ts';
import { EXIT_SUCCEEDED } from '../view/exit.ts';
import { localUpText } from '../view/local-up-text.ts';
import { createNarrator, describeAlarmChange, describeDropElsewhere } from '../view/stack-lines.ts';
import { wrapped } from '../view/text.ts';

export interface LocalUpOptions {
  state: string;
  /** Fixed ports. */
  port?: Ports;
  /** Invocations that the account runs at a time. Default: no limit. */
  concurrency?: number;
  live?: boolean;
  /** Path of a settings file. */
  settings?: string;
}

/** @returns the exit status, once the user has interrupted it. */
export async function localUp(options: LocalUpOptions): Promise<number> {
  const { startLocalPipeline } = await loadLocalStack();
  const given = await settingsOf(options.settings);
  const settings = given ?? defaultSettings();
  const narrator = createNarrator();
  const ports = await choosePorts(options.state, options.port ?? {}, (name, port) =>
    console.error(`Port ${port} of the last run is taken, so ${name} gets another one.`),
  );
  const pipeline = await startLocalPipeline({
    stateDir: options.state,
    settings: given,
    concurrency: options.concurrency,
    openai: chooseOpenAI(process.env, options.live ?? false, given?.dataResidency),
    ports,
    onProgress: (text) => console.error(text),
    onLog: (line, source) => say(source === 'stack' ? line : narrator.read(line)),
    onEvent: (event) => say(keyOf(event) && describeDropElsewhere(settings, keyOf(event)!)),
    onAlarm: (change: StateChange) => say(describeAlarmChange(change)),
  });
  const { endpoints } = pipeline.stack;
  const { baseUrl, isEmulated } = pipeline.openai;
  rememberPorts(options.state, { ...endpoints, ...(isEmulated ? { openai: baseUrl } : {}) });
  const flags = stackFlags({ local: true, state: options.state });
  console.log(localUpText(pipeline, { state: options.state, flags, layout: settings.layout }));
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await pipeline.stop();
  return EXIT_SUCCEEDED;
}

/** One line of news, with the time; broken to the width of the terminal. */
function say(text: string | undefined): void {
  if (text === undefined) return;
  const line = `${new Date().toTimeString().slice(0, 8)}  ${text}`;
  const lines = process.stderr.isTTY ? wrapped(line, process.stderr.columns ?? 80) : [line];
  console.error(lines.join('\n'));
}

/** The key of an object that was put. */
function keyOf({ source, 'detail-type': type, detail }: BusEvent): string | undefined {
  if (source !== 'aws.s3' || type !== 'Object Created') return undefined;
  return (detail as { object: { key: string } }).object.key;
}
