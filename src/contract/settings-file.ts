/**
 * The settings as the functions read them: a file in a Lambda layer. An environment holds 4 KB, which is about nine
 * routes; a layer holds any number, is versioned with the deployment, and rolls back with it.
 */
import * as z from 'zod';
import { type Settings, settingsSchema } from './settings.ts';

/** Where Lambda puts the content of layers. Source: Lambda developer guide, "Working with layers". */
export const LAYER_ROOT = '/opt/';
/** Path of the file in the layer. */
export const SETTINGS_PATH = 'batchdrop/settings.json';

const settingsFileSchema = z.strictObject({ v: z.literal(1), settings: settingsSchema });

/** Content of the file. */
export function settingsFileOf(settings: Settings): string {
  // Whom to notify is between EventBridge and the target: no function needs to know.
  const routes = settings.routes.map(({ notify: _, ...route }) => route);
  return `${JSON.stringify({ v: 1, settings: { ...settings, routes } })}\n`;
}

/**
 * Reads the content of the file.
 * @throws {Error} if it is not what {@link settingsFileOf} writes; the message names fields and quotes none of them.
 */
export function parseSettingsFile(text: string): Settings {
  return settingsFileSchema.parse(JSON.parse(text)).settings;
}
