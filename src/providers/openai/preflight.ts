/**
 * Requests that OpenAI is sure to refuse with 400. They cost nothing there but a day's wait. These are facts that age:
 * each row has its source and the date when it was read. Not tried against the real service.
 */
import { asObject, type JsonObject } from '../../core/base/json-value.ts';
import type { PreflightMembers, PreflightRules, SureRefusal } from '../../core/ports/provider-rules.ts';
import { baseModelOf } from './models.ts';

interface Row extends SureRefusal {
  endpoints: readonly string[];
  /** By their names without snapshot and fine-tune. Default: all. */
  models?: RegExp;
  /** Members without which a request is not refused. */
  members: readonly (keyof PreflightMembers)[];
  /** Each such line has one of these texts, as JSON writes it. Default: no short text is in all of them. */
  texts?: readonly string[];
  isRefused(body: JsonObject): boolean;
  source: string;
  /** When the source was read. */
  read: string;
}

const CHAT = '/v1/chat/completions';
const RESPONSES = '/v1/responses';

const isSet = (value: unknown): boolean => value !== undefined && value !== null;
const effortOf = (body: JsonObject): unknown => body.reasoning_effort ?? asObject(body.reasoning)?.effort;
const hasFunctions = ({ tools, functions }: JsonObject): boolean =>
  [tools, functions].some((list) => Array.isArray(list) && list.length > 0);

const ROWS: readonly Row[] = [
  {
    kind: 'preflight_videos',
    endpoints: ['/v1/videos'],
    members: [],
    isRefused: () => true,
    problem: 'OpenAI shut Sora down on 2026-09-24, so every /v1/videos request is refused.',
    instead: 'There is no replacement at OpenAI: take the line out.',
    source: 'OpenAI, deprecations page',
    read: '2026-11-29',
  },
  {
    kind: 'preflight_stored_prompt',
    endpoints: [RESPONSES],
    members: ['prompt'],
    isRefused: ({ prompt }) => isSet(asObject(prompt)?.id),
    problem: 'Stored prompts (prompt: {id}) ended on 2026-11-30 together with /v1/prompts.',
    instead: 'Write the text of the prompt into instructions and input.',
    source: "a third party that quotes OpenAI's deprecations page",
    read: '2026-11-29',
  },
  {
    kind: 'preflight_max_tokens',
    endpoints: [CHAT],
    models: /^(?:o[1-9]|gpt-5|gpt-[6-9])(?!.*-(?:chat|search))/,
    members: ['maxTokens'],
    isRefused: ({ max_tokens }) => isSet(max_tokens),
    problem: 'Reasoning models take no max_tokens at /v1/chat/completions.',
    instead: 'Write max_completion_tokens.',
    source: 'OpenAI API reference, "Create chat completion"',
    read: '2026-11-29',
  },
  {
    kind: 'preflight_effort',
    endpoints: [CHAT, RESPONSES],
    models: /^gpt-(?:6-astra|6\.1-sol|6\.2-)/,
    members: ['reasoning'],
    // Or with a letter as an escape.
    texts: ['"none"', '"minimal"', '\\u006', '\\u007'],
    isRefused: (body) => ['none', 'minimal'].includes(effortOf(body) as string),
    problem: 'The model does not reason less than "low": "none" and "minimal" are refused.',
    instead: 'Write "low", or leave the effort out.',
    source: 'OpenAI model pages of gpt-6-astra, gpt-6.1-sol and gpt-6.2',
    read: '2026-11-29',
  },
  {
    kind: 'preflight_chat_tools',
    endpoints: [CHAT],
    models: /^gpt-6\.1-sol$/,
    members: ['tools'],
    isRefused: hasFunctions,
    problem: 'The model takes no function tools at /v1/chat/completions.',
    instead: 'Send the request to /v1/responses.',
    source: 'third parties that quote the model page of gpt-6.1-sol',
    read: '2026-11-29',
  },
  {
    kind: 'preflight_chat_tools_effort',
    endpoints: [CHAT],
    models: /^gpt-(?:5\.[4-9]|[6-9])/,
    members: ['tools', 'reasoning'],
    isRefused: (body) =>
      hasFunctions(body) && isSet(body.reasoning_effort) && body.reasoning_effort !== 'none',
    problem: 'Function tools beside a reasoning_effort are refused at /v1/chat/completions.',
    instead: 'Send the request to /v1/responses, or leave reasoning_effort out.',
    source: 'OpenAI model pages of gpt-5.4 and later',
    read: '2026-11-29',
  },
];

function rowsOf(endpoint: string, model: string): Row[] {
  const name = baseModelOf(model);
  return ROWS.filter(({ endpoints, models }) => endpoints.includes(endpoint) && (models?.test(name) ?? true));
}

export const PREFLIGHT_RULES: PreflightRules = {
  suspectsOf(endpoint, model, members) {
    const rows = rowsOf(endpoint, model).filter((row) => row.members.every((member) => members[member]));
    if (rows.length === 0) return undefined;
    return rows.some(({ texts }) => texts === undefined) ? [] : rows.flatMap(({ texts }) => texts!);
  },
  refusalOf(endpoint, model, body) {
    const row = rowsOf(endpoint, model).find(({ isRefused }) => isRefused(body));
    return row && { kind: row.kind, problem: row.problem, instead: row.instead };
  },
};
