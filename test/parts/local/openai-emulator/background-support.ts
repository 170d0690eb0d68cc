import type OpenAI from 'openai';

export const HOUR_MS = 3_600_000;

/** Also what the types of the client refuse. */
export type BackgroundParams = Omit<
  Partial<OpenAI.Responses.ResponseCreateParamsNonStreaming>,
  'background_options' | 'stream'
> & {
  background_options?: { completion_window: string };
  stream?: boolean;
};

/** Creates a background response of the window `8h`, named `id` in the ledger and to fault rules. */
export const createInBackground = (client: OpenAI, params: BackgroundParams = {}, id = 'a') =>
  client.responses.create(
    {
      model: 'gpt-6.2-sol',
      input: 'What is an otter?',
      background: true,
      background_options: { completion_window: '8h' },
      ...params,
    } as OpenAI.Responses.ResponseCreateParamsNonStreaming,
    { headers: { 'X-Client-Request-Id': id } },
  );
