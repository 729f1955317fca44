// Starts `appnetctl lsp` and lets VS Code ask it about elements, AppNetConfigs and .proto files.
"use strict";

const path = require("path");
const vscode = require("vscode");
const { LanguageClient } = require("vscode-languageclient/node");

let client;

function command(folder) {
  const configured = vscode.workspace.getConfiguration("appnet").get("command");
  const relative = configured.includes("/") && !path.isAbsolute(configured);
  return relative && folder ? path.join(folder, configured) : configured;
}

async function activate() {
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri.fsPath;
  const server = { command: command(folder), args: ["lsp"], options: { cwd: folder } };
  const documents = ["appnet", "yaml", "proto", "proto3"].map((language) => ({ scheme: "file", language }));
  client = new LanguageClient("appnet", "AppNet", server, { documentSelector: documents });
  try {
    await client.start();
  } catch (error) {
    vscode.window.showErrorMessage(
      `AppNet: cannot start ${server.command}: ${error.message}. Set appnet.command to your appnetctl.`,
    );
  }
}

function deactivate() {
  return client?.stop();
}

module.exports = { activate, deactivate };
