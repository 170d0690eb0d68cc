/** How the parts of prompts are read that several endpoints have. */
import type { Prompt } from '../../../core/model/prompt.ts';
import { imageSizeOf } from './image-size.ts';

type Fields = Record<string, unknown>;

/** A text, texts, tokens, or arrays of tokens. */
export function readInput(prompt: Prompt, input: unknown): void {
  if (typeof input === 'string') prompt.texts.push(input);
  else if (typeof input === 'number') prompt.tokens++;
  else for (const each of arrayOf(input)) readInput(prompt, each);
}

export function readTools(prompt: Prompt, ...lists: unknown[]): void {
  for (const list of lists) {
    for (const tool of arrayOf(list)) {
      prompt.texts.push(JSON.stringify(tool) ?? '');
      const type = fieldsOf(tool)?.type;
      prompt.hasHostedTools ||= typeof type === 'string' && type !== 'function' && type !== 'custom';
    }
  }
}

export function readSchema(prompt: Prompt, format: unknown): void {
  if (fieldsOf(format)?.type === 'json_schema') prompt.texts.push(JSON.stringify(format));
}

/** A message of a chat, or an item of a response's input. */
export function readMessage(prompt: Prompt, value: unknown): void {
  const message = fieldsOf(value);
  if (message === undefined) {
    if (typeof value === 'string') prompt.texts.push(value);
    return;
  }
  prompt.messages++;
  if (message.type === 'item_reference') {
    prompt.isStored = true;
    stopText(prompt);
  }
  for (const key of ['role', 'name', 'arguments', 'refusal'] as const) {
    if (typeof message[key] === 'string') prompt.texts.push(message[key]);
  }
  readContent(prompt, message.content);
  readContent(prompt, message.output);
  readContent(prompt, message.summary);
  for (const call of arrayOf(message.tool_calls))
    prompt.texts.push(JSON.stringify(fieldsOf(call)?.function ?? call));
  if (message.function_call !== undefined && message.function_call !== null)
    prompt.texts.push(JSON.stringify(message.function_call));
  if (fieldsOf(message.audio) !== undefined) {
    prompt.isStored = true;
    stopText(prompt);
  }
}

/** A text, or parts of several kinds. */
export function readContent(prompt: Prompt, content: unknown): void {
  if (typeof content === 'string') {
    prompt.texts.push(content);
    return;
  }
  for (const value of arrayOf(content)) {
    const part = fieldsOf(value);
    if (part === undefined) {
      if (typeof value === 'string') prompt.texts.push(value);
    } else readPart(prompt, part);
  }
}

function readPart(prompt: Prompt, part: Fields): void {
  switch (part.type) {
    case 'image_url':
    case 'input_image': {
      stopText(prompt);
      // Chat has an object here, responses have the URL, or a file's id in its place.
      const image = fieldsOf(part.image_url) ?? { url: part.image_url, detail: part.detail };
      const { url, detail } = image;
      const size = typeof url === 'string' && url.startsWith('data:') ? imageSizeOf(url) : undefined;
      prompt.images.push({ detail: typeof detail === 'string' ? detail : undefined, size });
      return;
    }
    case 'input_audio': {
      stopText(prompt);
      const audio = fieldsOf(part.input_audio);
      if (typeof audio?.data === 'string') prompt.audioBytes += Math.floor((audio.data.length * 3) / 4);
      else prompt.files++;
      return;
    }
    case 'file':
    case 'input_file':
      stopText(prompt);
      prompt.files++;
      return;
    default:
      for (const key of ['text', 'refusal'] as const) {
        if (typeof part[key] === 'string') prompt.texts.push(part[key]);
      }
  }
}

/** What comes here is not text. */
function stopText(prompt: Prompt): void {
  prompt.opaqueAt ??= prompt.texts.length;
}

export function arrayOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

export function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}
