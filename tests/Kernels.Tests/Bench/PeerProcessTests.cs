using System.IO.Pipes;
using System.Text.Json;
using Kernels.Benchmarks;
using Kernels.Verification;
using Xunit;

namespace Kernels.Tests.Bench;

public sealed class PeerProcessTests
{
    private static readonly Dictionary<string, string> NoVariables = [];

    [Fact]
    public void AQuestionIsOneLineAndSoIsTheAnswer()
    {
        StringWriter requests = new();
        JsonConversation conversation = new(requests, new StringReader("{\"cold\": 1.5}\n{\"warm\": 2}\n"), TimeSpan.FromSeconds(10));

        JsonElement first = conversation.Ask(new { Do = "prepare", Problem = (object)new DropoutProblem("forward", [2, 3], "", 0.25) });
        JsonElement second = conversation.Ask(new { Do = "run" });

        Assert.Equal(1.5, first.GetProperty("cold").GetDouble());
        Assert.Equal(2, second.GetProperty("warm").GetDouble());
        string[] lines = requests.ToString().Split('\n', StringSplitOptions.RemoveEmptyEntries);
        Assert.Equal(2, lines.Length);
        JsonElement problem = JsonDocument.Parse(lines[0]).RootElement.GetProperty("problem");
        Assert.Equal("forward", problem.GetProperty("entry").GetString());
        Assert.Equal([2, 3], problem.GetProperty("shape").EnumerateArray().Select(dimension => dimension.GetInt32()));
        Assert.Equal(0.25, problem.GetProperty("dropProbability").GetDouble());
        Assert.Equal("Inverted", problem.GetProperty("scaling").GetString());
    }

    /// <summary>Whatever a case's problems have for properties, a peer in another process can be told.</summary>
    [Fact]
    public void EveryProblemCanBeSent() => Assert.All(
        OpCase.All.SelectMany(op => op.Problems.Concat(op.BenchProblems)),
        problem => Assert.Contains(
            "\"entry\":", JsonSerializer.Serialize((object)problem, JsonConversation.Options), StringComparison.Ordinal));

    [Fact]
    public void AnErrorIsAnAnswerLikeAnyOther()
    {
        StringReader replies = new("{\"error\": \"too large\"}\n{\"cold\": 1}\n");
        JsonConversation conversation = new(TextWriter.Null, replies, TimeSpan.FromSeconds(10));

        Assert.Equal("too large", Assert.Throws<PeerException>(() => conversation.Ask(new { Do = "run" })).Message);
        Assert.Equal(1, conversation.Ask(new { Do = "run" }).GetProperty("cold").GetDouble());
    }

    [Theory]
    [InlineData("")]
    [InlineData("Warning: something\n{\"cold\": 1}\n")]
    [InlineData("[1]\n{\"cold\": 1}\n")]
    public void AfterAnAnswerThatIsNoneThereIsNoOther(string replies)
    {
        JsonConversation conversation = new(TextWriter.Null, new StringReader(replies), TimeSpan.FromSeconds(10));

        Assert.Throws<PeerException>(() => conversation.Ask(new { Do = "run" }));
        Assert.True(conversation.IsBroken);
        Assert.Throws<PeerException>(() => conversation.Ask(new { Do = "run" }));
    }

    [Fact]
    public void SilenceEnds()
    {
        using AnonymousPipeServerStream ours = new(PipeDirection.In);
        using AnonymousPipeClientStream theirs = new(PipeDirection.Out, ours.ClientSafePipeHandle);
        using StreamReader replies = new(ours);
        JsonConversation conversation = new(TextWriter.Null, replies, TimeSpan.FromMilliseconds(50));

        PeerException e = Assert.Throws<PeerException>(() => conversation.Ask(new { Do = "run" }));
        Assert.Contains("no answer", e.Message, StringComparison.Ordinal);
        Assert.True(conversation.IsBroken);
        theirs.Dispose(); // the read that still waits ends with the pipe
    }

    [Fact]
    public void AProcessAnswersAndItsLastWordsAreReported()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs a POSIX shell");
        const string Script = """
            read line; echo '{"name": "a shell"}'
            read line; echo 'out of wonders' >&2; exit 3
            """;
        using PeerProcess process = PeerProcess.Start("/bin/sh", ["-c", Script], NoVariables);

        Assert.Equal("a shell", process.Ask(new { Do = "start" }).GetProperty("name").GetString());
        string message = Assert.Throws<PeerException>(() => process.Ask(new { Do = "run" })).Message;
        Assert.StartsWith("the process ended", message, StringComparison.Ordinal);
    }

    [Fact]
    public void EnvironmentReachesTheProcess()
    {
        Assert.SkipWhen(OperatingSystem.IsWindows(), "needs a POSIX shell");
        using PeerProcess process = PeerProcess.Start(
            "/bin/sh",
            ["-c", "read line; printf '{\"threads\": %s}\\n' \"$OMP_NUM_THREADS\""],
            new Dictionary<string, string> { ["OMP_NUM_THREADS"] = "7" });

        Assert.Equal(7, process.Ask(new { Do = "start" }).GetProperty("threads").GetInt32());
    }

    [Fact]
    public void AMissingProgramIsReported() =>
        Assert.Throws<PeerException>(() => PeerProcess.Start("/no/such/python", [], NoVariables));
}
