/** Name of the stack's own API key: that of every route that names no other. */
export const DEFAULT_API_KEY = 'default';

/**
 * What a secret holds until a person sets the key. It must never change: CloudFormation writes a secret's value only
 * when the template's value differs from the last one, so the key that was set survives every deployment.
 */
export const API_KEY_PLACEHOLDER = 'not-set';

/** What the names of a stack's secrets begin with: nothing else of the account does, so that a grant may end in `*`. */
export function apiKeySecretsPrefix(stackId: string): string {
  return `batchdrop/${stackId}/`;
}

/**
 * The secret that holds an API key. Its name is known without the stack's help, so that it takes no room in an
 * environment.
 * @param stackId the UUID of the CloudFormation stack: a stack that is made again under its old name finds no secret
 *   in its way.
 */
export function apiKeySecretName(stackId: string, apiKey: string): string {
  return `${apiKeySecretsPrefix(stackId)}${apiKey}`;
}

/**
 * What a person types to set an API key. The key comes by a pipe from what the shell prints by itself: arguments of a process
 * can be read by others on the machine, and are in its logs.
 * @param region default: that of the person's AWS configuration
 */
export function setApiKeyCommand(secretId: string, region?: string): string {
  const at = region === undefined ? '' : ` --region ${region}`;
  return `printf %s "$OPENAI_API_KEY" | aws secretsmanager put-secret-value${at} --secret-id ${secretId} --secret-string file:///dev/stdin`;
}

/**
 * What the names of an API key's own outputs end with: `team-a` gives `TeamA`, the stack's own key nothing. Settings
 * refuse two keys with one ending.
 */
export function apiKeyOutputSuffix(apiKey: string): string {
  if (apiKey === DEFAULT_API_KEY) return '';
  return apiKey.replaceAll(/(?:^|-)+([a-z0-9]?)/g, (_, first: string) => first.toUpperCase());
}
