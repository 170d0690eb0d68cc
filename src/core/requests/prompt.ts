/**
 * What a model reads of a request: its texts, and everything that is not text, which takes tokens by other rules.
 */
import type { Endpoint } from '../model/endpoints.ts';
import { type ImagePart, imageSizeOf } from './images.ts';

/** What is not text, and of which the request does not say how many tokens it takes. */
export const UNESTIMATED_KINDS = ['image', 'audio', 'file', 'stored', 'hosted_tool'] as const;
/**
 * `image`: of unknown size, or of a model without a documented rule; `audio`; `file`: its text and its pages;
 * `stored`: a prompt or conversation that OpenAI keeps; `hosted_tool`: what OpenAI's own tools put in.
 */
export type UnestimatedKind = (typeof UNESTIMATED_KINDS)[number];

export interface Prompt {
  /**
   * Texts in the order in which the model reads them, which is the order that prompt caching goes by: tools and the
   * schema of the answer as compact JSON, instructions, then the messages.
   */
  texts: string[];
  /** How many texts stand before the first thing that is not in the request as text; absent: there is no such thing. */
  opaqueAt?: number;
  /** Tokens that the request gives as numbers. */
  tokens: number;
  /** Messages, each of which takes some tokens of its own; 0 for endpoints that have none. */
  messages: number;
  images: ImagePart[];
  /** Bytes of audio, packed as they are. */
  audioBytes: number;
  files: number;
  /** Refers to what OpenAI keeps: `prompt`, `previous_response_id`, `conversation`, `item_reference`. */
  isStored: boolean;
  hasHostedTools: boolean;
}

type Fields = Record<string, unknown>;

/** Reads a body that OpenAI may yet refuse: whatever is not as expected counts as text or not at all, and nothing throws. */
export function readPrompt(endpoint: Endpoint, body: Fields): Prompt {
  const prompt: Prompt = {
    texts: [],
    tokens: 0,
    messages: 0,
    images: [],
    audioBytes: 0,
    files: 0,
    isStored: false,
    hasHostedTools: false,
  };
  switch (endpoint) {
    case '/v1/chat/completions':
      readTools(prompt, body.tools, body.functions);
      readSchema(prompt, body.response_format);
      for (const message of arrayOf(body.messages)) readMessage(prompt, message);
      break;
    case '/v1/responses':
      readTools(prompt, body.tools);
      readSchema(prompt, fieldsOf(body.text)?.format);
      if (typeof body.instructions === 'string')
        readMessage(prompt, { role: 'system', content: body.instructions });
      if (typeof body.input === 'string') readMessage(prompt, { role: 'user', content: body.input });
      else for (const item of arrayOf(body.input)) readMessage(prompt, item);
      if (
        [body.prompt, body.previous_response_id, body.conversation].some(
          (stored) => stored !== undefined && stored !== null,
        )
      ) {
        prompt.isStored = true;
        prompt.opaqueAt = 0;
      }
      break;
    case '/v1/embeddings':
      readInput(prompt, body.input);
      break;
    case '/v1/completions':
      readInput(prompt, body.prompt);
      if (typeof body.suffix === 'string') prompt.texts.push(body.suffix);
      break;
    case '/v1/moderations':
      if (Array.isArray(body.input) && typeof body.input[0] === 'object') readContent(prompt, body.input);
      else readInput(prompt, body.input);
      break;
    case '/v1/images/generations':
    case '/v1/images/edits':
    case '/v1/videos':
      if (typeof body.prompt === 'string') prompt.texts.push(body.prompt);
      if (body.image !== undefined || body.images !== undefined) prompt.files++;
      break;
  }
  return prompt;
}

/** A text, texts, tokens, or arrays of tokens. */
function readInput(prompt: Prompt, input: unknown): void {
  if (typeof input === 'string') prompt.texts.push(input);
  else if (typeof input === 'number') prompt.tokens++;
  else for (const each of arrayOf(input)) readInput(prompt, each);
}

function readTools(prompt: Prompt, ...lists: unknown[]): void {
  for (const list of lists) {
    for (const tool of arrayOf(list)) {
      prompt.texts.push(JSON.stringify(tool) ?? '');
      const type = fieldsOf(tool)?.type;
      prompt.hasHostedTools ||= typeof type === 'string' && type !== 'function' && type !== 'custom';
    }
  }
}

function readSchema(prompt: Prompt, format: unknown): void {
  if (fieldsOf(format)?.type === 'json_schema') prompt.texts.push(JSON.stringify(format));
}

/** A message of a chat, or an item of a response's input. */
function readMessage(prompt: Prompt, value: unknown): void {
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
function readContent(prompt: Prompt, content: unknown): void {
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
      prompt.images.push({
        ...(typeof detail === 'string' ? { detail } : {}),
        ...(size === undefined ? {} : { size }),
      });
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

/** What stands here is not text. */
function stopText(prompt: Prompt): void {
  prompt.opaqueAt ??= prompt.texts.length;
}

function arrayOf(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function fieldsOf(value: unknown): Fields | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : undefined;
}
