using System.Xml.Linq;
using Xunit;

namespace Kernels.Tests.Documentation;

/// <summary>What editors show, and what the header of the C interface is made of.</summary>
public sealed class ApiDocumentationTests
{
    /// <summary>
    /// A type in several files is described in one; what its other parts say of themselves is their content. The compiler would put all
    /// summaries down, and readers take any of them.
    /// </summary>
    [Fact]
    public void EveryMemberHasOneSummary()
    {
        XDocument documentation = XDocument.Load(Path.ChangeExtension(typeof(Device).Assembly.Location, ".xml"));
        IEnumerable<string> twice = documentation.Descendants("member")
            .Where(member => member.Elements("summary").Count() > 1).Select(member => member.Attribute("name")!.Value);
        Assert.Empty(twice);
    }
}
