using System.Reflection;
using System.Text.RegularExpressions;
using Kernels.Devices;
using Xunit;

namespace Kernels.Tests.DeviceCode;

/// <summary>
/// Tables of numbers that the host writes for kernels are structs on both sides: the same fields in the same order, without gaps.
/// </summary>
public sealed partial class TableLayoutTests
{
    private static readonly (string File, string Struct, Type Managed)[] Tables =
    [
        ("portable/optimizer_layout.h", "group_options", typeof(GroupOptions<float>)),
        ("portable/optimizer_layout.h", "step_progress", typeof(StepProgress<float>)),
        ("portable/sgd.cl", "rule_options", typeof(SgdRuleOptions<float>)),
        ("portable/adam.cl", "rule_options", typeof(AdamRuleOptions<float>)),
        ("portable/rms_prop.cl", "rule_options", typeof(RmsPropRuleOptions<float>)),
        ("portable/lion.cl", "rule_options", typeof(LionRuleOptions<float>)),
        ("portable/norm_penalty.cl", "penalty_coefficients", typeof(PenaltyCoefficients<float>)),
    ];

    public static TheoryData<string, string> Names => [.. Tables.Select(table => (table.File, table.Struct))];

    [Theory]
    [MemberData(nameof(Names))]
    public void Fields_AreThoseOfTheText(string file, string name)
    {
        Type managed = Tables.Single(table => (table.File, table.Struct) == (file, name)).Managed;
        string[] inText = [.. FieldsInText(file, name)];
        FieldInfo[] fields = managed.GetFields(BindingFlags.Instance | BindingFlags.Public);
        Assert.Equal(inText,
            fields.Select(field => field.FieldType == typeof(float) ? field.Name : $"{field.Name}[{Words(field.FieldType)}]"));
    }

    [Fact]
    public void RuleSettings_FitIntoTheirWords()
    {
        Assert.Contains(
            $"#define RULE_WORDS {RuleWords<float>.Length}\n", KernelSource.Read("portable/optimizer_layout.h"), StringComparison.Ordinal);
        Assert.All(
            Tables.Where(table => table.Struct == "rule_options"),
            table => Assert.InRange(Words(table.Managed), 1, RuleWords<float>.Length));
    }

    private static int Words(Type type) =>
        type == typeof(RuleWords<float>) ? RuleWords<float>.Length : type.GetFields(BindingFlags.Instance | BindingFlags.Public).Length;

    private static IEnumerable<string> FieldsInText(string file, string name)
    {
        string body = Struct(name).Match(Comment().Replace(KernelSource.Read(file), "")).Groups["body"].Value;
        Assert.NotEmpty(body);
        foreach (Match declaration in Declaration().Matches(body))
        {
            foreach (string field in declaration.Groups["names"].Value.Split(','))
                yield return Pascal(field.Trim()).Replace("[RULEWORDS]", $"[{RuleWords<float>.Length}]", StringComparison.Ordinal);
        }
    }

    private static string Pascal(string name) => string.Concat(name.Split('_').Select(word => char.ToUpperInvariant(word[0]) + word[1..]));

    private static Regex Struct(string name) => new($$"""typedef struct \{(?<body>[^}]*)\} {{name}};""");

    [GeneratedRegex(@"//[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"real (?<names>[^;]+);")]
    private static partial Regex Declaration();
}
