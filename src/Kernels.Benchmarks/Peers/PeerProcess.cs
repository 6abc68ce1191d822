using System.Diagnostics;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace Kernels.Benchmarks;

/// <summary>Requests and replies over a pair of streams, one JSON object a line each.</summary>
internal sealed class JsonConversation(TextWriter requests, TextReader replies, TimeSpan patience)
{
    /// <summary>How problems are written, all public properties by their camel-case names.</summary>
    internal static JsonSerializerOptions Options { get; } = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        NumberHandling = JsonNumberHandling.AllowNamedFloatingPointLiterals,
        Converters = { new JsonStringEnumConverter() },
        TypeInfoResolver = new DefaultJsonTypeInfoResolver { Modifiers = { LeaveOutTensors } },
    };

    /// <summary>True once the two sides have lost each other: after a silence the next line would answer an older request.</summary>
    public bool IsBroken { get; private set; }

    /// <summary>Sends a request and waits for its reply.</summary>
    /// <exception cref="PeerException">The other side reports an error, hung up, did not answer in time, or does not speak
    ///   JSON.</exception>
    public JsonElement Ask(object request)
    {
        if (IsBroken) throw new PeerException("the conversation broke off earlier");
        JsonElement reply = Parse(Exchange(JsonSerializer.Serialize(request, Options)));
        return reply.TryGetProperty("error", out JsonElement error) ? throw new PeerException(error.ToString()) : reply;
    }

    /// <summary>An op's options may have tensors. They are no settings of a problem, and cannot be written.</summary>
    private static void LeaveOutTensors(JsonTypeInfo type)
    {
        for (int i = type.Properties.Count - 1; i >= 0; i--)
        {
            Type kind = type.Properties[i].PropertyType;
            if (kind.IsGenericType && kind.GetGenericTypeDefinition() == typeof(DeviceTensor<>)) type.Properties.RemoveAt(i);
        }
    }

    private string Exchange(string request)
    {
        try
        {
            requests.WriteLine(request);
            requests.Flush();
            return replies.ReadLineAsync().WaitAsync(patience).GetAwaiter().GetResult() ?? throw Broken("the process ended");
        }
        catch (TimeoutException)
        {
            throw Broken($"no answer within {patience.TotalSeconds:0} s");
        }
        catch (IOException)
        {
            throw Broken("the process ended");
        }
    }

    private JsonElement Parse(string line)
    {
        try
        {
            JsonElement reply = JsonSerializer.Deserialize<JsonElement>(line);
            if (reply.ValueKind == JsonValueKind.Object) return reply;
        }
        catch (JsonException)
        {
            // Said below.
        }

        throw Broken($"not a JSON object: {line}");
    }

    private PeerException Broken(string message)
    {
        IsBroken = true;
        return new PeerException(message);
    }
}

/// <summary>A child process that is asked in JSON. What it writes to standard error is kept for the message of a failure.</summary>
internal sealed class PeerProcess : IDisposable
{
    /// <summary>A slow op of a slow peer takes seconds; loading its libraries from a cold disk can take a minute.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private readonly Process _process;
    private readonly JsonConversation _conversation;
    private string _lastError = "";

    private PeerProcess(Process process)
    {
        _process = process;
        _conversation = new JsonConversation(process.StandardInput, process.StandardOutput, Patience);
        process.ErrorDataReceived += (_, line) => _lastError = string.IsNullOrWhiteSpace(line.Data) ? _lastError : line.Data.Trim();
        process.BeginErrorReadLine();
    }

    /// <exception cref="PeerException">The file cannot be started.</exception>
    public static PeerProcess Start(string file, IEnumerable<string> arguments, IReadOnlyDictionary<string, string> environment)
    {
        ProcessStartInfo start = new(file, arguments)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardInputEncoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false),
        };
        foreach ((string name, string value) in environment) start.Environment[name] = value;
        try
        {
            return new PeerProcess(Process.Start(start)!);
        }
        catch (Exception e) when (e is System.ComponentModel.Win32Exception or IOException)
        {
            throw new PeerException(e.Message, e);
        }
    }

    /// <summary>Writes to the process without waiting for an answer.</summary>
    public void Send(string text)
    {
        try
        {
            _process.StandardInput.Write(text);
        }
        catch (IOException)
        {
            // It has already gone; the first question says so with its last words.
        }
    }

    /// <inheritdoc cref="JsonConversation.Ask"/>
    public JsonElement Ask(object request)
    {
        try
        {
            return _conversation.Ask(request);
        }
        catch (PeerException e) when (_conversation.IsBroken && _lastError.Length > 0)
        {
            throw new PeerException($"{e.Message} ({_lastError})", e);
        }
    }

    public void Dispose()
    {
        try
        {
            _process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It has already gone.
        }

        if (_conversation.IsBroken || !_process.WaitForExit(TimeSpan.FromSeconds(5))) _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }
}
