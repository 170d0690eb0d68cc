/** What an answer was charged for beside the tokens in its `usage`: calls of tools that OpenAI runs. */
import { asObject, type JsonObject, objectsIn } from '../../core/base/json-value.ts';
import type { ToolUse } from '../../core/model/tool-use.ts';

/** Calls that cost tokens only, or nothing of OpenAI's. Source: openai 7.55.0 `ResponseOutputItem`; page "Pricing". */
const WITHOUT_FEE: ReadonlySet<string> = new Set([
  'function_call',
  'custom_tool_call',
  'computer_call',
  'local_shell_call',
  'apply_patch_call',
  'mcp_call',
  'tool_search_call',
]);
const COUNTED: ReadonlySet<string> = new Set(['web_search_call', 'file_search_call']);

/**
 * Reads the calls of a response's output; chat models that search do not say how often. Charges whose amount the
 * answer does not report: containers of the code interpreter and the shell (by the minute since 2026-06-02, OpenAI's
 * changelog), image tokens of the image tool, searches of chat models, tools that are not known here.
 */
export function toolUseOf(body: JsonObject): ToolUse {
  const types = objectsIn(body.output).map(({ type }) => (typeof type === 'string' ? type : ''));
  const usage = asObject(body.tool_usage);
  const tools = objectsIn(body.tools).map(({ type }) => String(type));
  return {
    webSearches: searchesIn(body, usage),
    isPreview: tools.some((type) => type.startsWith('web_search_preview')),
    fileSearches: types.filter((type) => type === 'file_search_call').length,
    isUnpriced:
      types.some((type) => type.endsWith('_call') && !WITHOUT_FEE.has(type) && !COUNTED.has(type)) ||
      isPositive(asObject(usage?.image_gen)?.total_tokens) ||
      (body.object === 'chat.completion' && /-search-/.test(String(body.model))),
  };
}

/** As many as OpenAI says that it charges, or else each call that is not known to have opened a page only. */
function searchesIn({ output }: JsonObject, usage: JsonObject | undefined): number {
  const stated = asObject(usage?.web_search)?.num_requests;
  if (isPositive(stated)) return stated;
  return objectsIn(output).filter(({ type, action }) => {
    const kind = asObject(action)?.type ?? 'search';
    return type === 'web_search_call' && kind === 'search';
  }).length;
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0;
}
